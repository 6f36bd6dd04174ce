"""JupyterHub with governed quantum devices, behind the campus's identity provider (OpenID Connect).

    pip install 'jupyter-quantum[demo]'
    export OIDC_ISSUER=https://login.campus.example OIDC_CLIENT_ID=… OIDC_CLIENT_SECRET=…
    export JUPYTERHUB_CRYPT_KEY=$(openssl rand -hex 32)     # keep it: sign-ins are stored under it
    jupyterhub -f jupyterhub_config.py

People, their groups and their second factor are the identity provider's; this hub copies them at sign-in and again
every two minutes. Whoever leaves a group there has lost what it gave within five minutes, jobs that wait included.
Change what is marked, keep the rest.
"""

import os
from pathlib import Path

from jupyter_quantum.hub import configure
from jupyter_quantum.hub.workspace import private_home

c = get_config()  # noqa: F821 (the hub gives it)

# --- yours: where the hub is, and where it keeps its data ---
DATA = Path(os.environ.get("JUPYTERHUB_DATA", "/srv/jupyterhub"))
c.JupyterHub.bind_url = "http://127.0.0.1:8000"  # put your TLS proxy in front, or set ssl_key and ssl_cert
c.JupyterHub.db_url = f"sqlite:///{DATA}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = str(DATA / "cookie_secret")
# Any spawner does. This one starts servers as the unix user of the person's name (LDAP, SSSD); containers need none.
c.JupyterHub.spawner_class = "localprocess"
c.Spawner.pre_spawn_hook = private_home  # a home that nobody else may enter
c.Spawner.default_url = "/lab"
c.Spawner.notebook_dir = "~"

# --- yours: the identity provider; its addresses are in <issuer>/.well-known/openid-configuration ---
ISSUER = os.environ["OIDC_ISSUER"].rstrip("/")
c.JupyterHub.authenticator_class = "oauthenticator.generic.GenericOAuthenticator"
c.GenericOAuthenticator.login_service = "the campus"
c.GenericOAuthenticator.client_id = os.environ["OIDC_CLIENT_ID"]
c.GenericOAuthenticator.client_secret = os.environ["OIDC_CLIENT_SECRET"]
c.GenericOAuthenticator.authorize_url = f"{ISSUER}/oauth2/authorize"
c.GenericOAuthenticator.token_url = f"{ISSUER}/oauth2/token"
c.GenericOAuthenticator.userdata_url = f"{ISSUER}/userinfo"
# At most campuses the hub's address must be registered there as well: https://hub.campus.example/hub/oauth_callback
# c.GenericOAuthenticator.oauth_callback_url = "https://hub.campus.example/hub/oauth_callback"
c.GenericOAuthenticator.scope = ["openid", "profile"]  # many providers want "groups" or "offline_access" here as well
c.GenericOAuthenticator.username_claim = "preferred_username"  # one that is never given to somebody else
c.GenericOAuthenticator.enable_pkce = True
c.GenericOAuthenticator.basic_auth = True  # every OAuth provider takes the secret so, also when a token is renewed

# --- keep: groups come from the claim `groups`, at sign-in and at each refresh; the hub's own are overwritten ---
c.Authenticator.manage_groups = True
c.GenericOAuthenticator.auth_state_groups_key = "oauth_user.groups"
c.Authenticator.enable_auth_state = True
# Everybody whom the campus signs in may enter, and ask to join a project; what they may do follows from their groups.
# To keep others out: allow_all = False and allowed_groups = {"qcourse", …}.
c.Authenticator.allow_all = True

# --- yours: prices, and who administrates; amounts are credits ---
SERVICE = {
    "time_zone": "Europe/Berlin",
    # Hub groups, so groups of the identity provider, whose members …
    "operators": "quantum-operators",  # pause and drain devices
    "auditors": "quantum-auditors",  # read the audit, and run nothing
    "admins": "quantum-admins",  # declare projects, keys, retention
    "breakglass_groups": ["quantum-emergency"],  # may take a role at once; somebody else looks at it after
    "prices": {
        "fake_torino": {"per_task": 0.0195, "per_shot": 0.0004, "per_second": 0.0005},
        "fake_fez": {"per_task": 0.0195, "per_shot": 0.0004, "per_second": 0.0005},
        "campus_qpu": {"per_task": 0.096, "per_shot": 0.006, "per_second": 0.008},
    },
    # Where projects may export to, each as its own declaration says: a directory or an object store, or, without a url,
    # a download for whoever asked.
    "export_targets": {"repository": {"url": (DATA / "repository").as_uri(), "region": "eu"}, "download": {}},
    "retention": {"inputs": 365, "results": 365},  # days, where a project says nothing
    # Signed checkpoints of the audit also go to a second place, best on another machine: "s3://…", "file:///mnt/…".
    "audit_copies": (DATA / "checkpoints").as_uri(),
    # Data is encrypted with a key per project, wrapped by one in a file of this machine; better by Vault or an HSM:
    # "keys": {"provider": "vault", "url": "https://vault.campus.example", "key": "quantum", "token_file": "/run/…"},
}

# Whoever is signed in may come to the service's door: projects are declared in tenants.yaml, and people ask to join.
configure(c, config=SERVICE, data_dir=DATA / "quantum", user_groups="*")
