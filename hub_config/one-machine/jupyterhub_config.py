"""JupyterHub with governed quantum devices on one machine, for users with unix accounts.

    pip install 'jupyter-quantum[demo]'
    jupyterhub -f jupyterhub_config.py

The service, its runner and the store run on this machine; people, groups and sign-in stay the hub's own. Change what is
marked, keep the rest. Circuits run on emulators of real devices until a runner with other devices is added.
"""

from jupyter_quantum.hub import configure
from jupyter_quantum.hub.workspace import private_home

c = get_config()  # noqa: F821 (the hub gives it)

# --- yours: who signs in, and how their servers start ---
c.JupyterHub.bind_url = "http://127.0.0.1:8000"  # put your TLS proxy in front, or set ssl_key and ssl_cert
c.JupyterHub.authenticator_class = "pam"  # any authenticator does; groups may come from it (manage_groups)
c.JupyterHub.spawner_class = "localprocess"  # each user's kernels run as that user
c.Spawner.pre_spawn_hook = private_home  # whose home nobody else may enter
c.Authenticator.allow_all = False
c.Authenticator.allowed_users = {"ada", "grace", "otto"}
c.JupyterHub.load_groups = {
    "qcourse": {"users": ["ada", "grace"]},
    "qcourse-leads": {"users": ["grace"]},
    "quantum-operators": {"users": ["otto"]},
    "quantum-auditors": {"users": []},
}
c.Spawner.default_url = "/lab"
c.Spawner.notebook_dir = "~"

# --- yours: projects (who may spend what) and prices; amounts are credits ---------------------------------------------
SERVICE = {
    "time_zone": "Europe/Berlin",
    "projects": {
        "qcourse": {
            "organisation": "campus",
            "tier": "sandbox",
            "members": ["qcourse"],  # hub groups
            "leads": ["qcourse-leads"],
            "grant": 100,  # of the project, in all
            "user_quota": 50,  # of each member, a month
        },
    },
    "prices": {
        "fake_torino": {"per_task": 0.0195, "per_shot": 0.0004, "per_second": 0.0005},
        "fake_fez": {"per_task": 0.0195, "per_shot": 0.0004, "per_second": 0.0005},
        "campus_qpu": {"per_task": 0.096, "per_shot": 0.006, "per_second": 0.008},
    },
    # Policies are readable files; copy hub_config/policies, change them, and name the copy here.
    # "policies": "/srv/jupyterhub/policies",
}

configure(c, config=SERVICE, data_dir="/srv/jupyterhub/quantum")
