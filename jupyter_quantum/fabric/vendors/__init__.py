"""Vendor processes: one a remote device, the only one that has the device's secret and reaches the network."""
