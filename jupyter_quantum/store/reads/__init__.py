"""What can be read of each area, one module each; :class:`~jupyter_quantum.store.view.View` is made of them."""
