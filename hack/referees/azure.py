"""The vendors' own clients against the double of Azure (testkit/src/azure.rs).

What they send must be no violation to the double, and what the double answers must mean to them what it
means to the operator's tests. hack/referees/run-azure runs it; the arguments are the double's program and
the clients' pinned versions.
"""

import os
import sys

# The folder of this file is first on the path, where it would hide the package of the same name.
sys.path.pop(0)

import importlib.metadata
import json
import logging
import subprocess
import tempfile
import unittest
from contextlib import contextmanager

import jwt
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError as Unauthenticated
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient
from databricks.sdk.config import Config
from databricks.sdk.oauth import get_host_metadata

PROGRAM, *PINS = sys.argv[1:]
GRAPH, VAULT = "https://graph.microsoft.com/.default", "https://vault.azure.net/.default"
UNKNOWN = "00000000-1111-4222-8333-444444444444"


class Double:
    """A running double; when it has ended, also what it received."""

    def __init__(self, ready, ca):
        vars(self).update(ready)
        self.ca, self.received, self.violations = ca, [], []

    def credential(self, **options):
        usual = {"tenant_id": self.tenant, "client_id": self.client_id, "client_secret": self.secret}
        usual |= {"authority": self.entra, "disable_instance_discovery": True, "connection_verify": self.ca}
        return ClientSecretCredential(retry_total=0, **usual | options)

    def secrets(self, credential=None, **options):
        usual = {"verify_challenge_resource": False, "connection_verify": self.ca, "retry_total": 0}
        return SecretClient(self.vault, credential or self.credential(), **usual | options)

    def graph_get(self, path, token=None, **params):
        token = token or self.credential().get_token(GRAPH).token
        params = {f"${name}": value for name, value in params.items()}
        headers = {"authorization": f"Bearer {token}"}
        return requests.get(f"{self.graph}/v1.0/{path}", params=params, headers=headers, verify=self.ca, timeout=30)

    def databricks_config(self, **options):
        usual = {"host": self.databricks, "client_id": "sp", "client_secret": "s3cr+t", "auth_type": "oauth-m2m"}
        return Config(retry_timeout_seconds=2, **usual | options)

    def asked(self, service):
        return [f"{request['method']} {request['uri']}" for request in self.received if request["service"] == service]


@contextmanager
def double(*flags):
    with (
        tempfile.NamedTemporaryFile("w", suffix=".pem") as ca,
        subprocess.Popen([PROGRAM, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        ready = json.loads(process.stdout.readline())
        ca.write(ready["ca"])
        ca.flush()
        # requests under the Databricks client knows no other way.
        os.environ["REQUESTS_CA_BUNDLE"] = ca.name
        azure = Double(ready, ca.name)
        try:
            yield azure
        finally:
            # Its input ends here, and so does it.
            vars(azure).update(json.loads(process.communicate(timeout=30)[0]))


class Referee(unittest.TestCase):
    def fails(self, kind, text, call, *args, **options):
        with self.assertRaises(kind) as raised:
            call(*args, **options)
        self.assertIn(text, str(raised.exception))
        return raised.exception

    def test_tokens_and_what_is_sent(self):
        with double("--role", "Group.Read.All", "--role", "User.Read.All") as azure:
            token = azure.credential().get_token(GRAPH)
            azure.credential(tenant_id="contoso.onmicrosoft.com").get_token(GRAPH)
            own = azure.credential().get_token(f"api://{azure.client_id}/.default")
            found = requests.get(f"{azure.entra}/{azure.tenant}/v2.0/.well-known/openid-configuration", timeout=30)
            keys = jwt.PyJWKSet.from_dict(requests.get(found.json()["jwks_uri"], timeout=30).json())
        for token, audience, issuer in [
            (token.token, "https://graph.microsoft.com", f"https://sts.windows.net/{azure.tenant}/"),
            (own.token, azure.client_id, found.json()["issuer"]),
        ]:
            key = keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=issuer)
            self.assertEqual((claims["tid"], claims["idtyp"]), (azure.tenant, "app"))
            roles = ["Group.Read.All", "User.Read.All"] if "graph" in audience else None
            self.assertEqual(claims.get("roles"), roles)
        self.assertEqual(azure.violations, [])
        first, second, *_ = azure.received
        discovery = f"/{azure.tenant}/v2.0/.well-known/openid-configuration"
        self.assertEqual((first["method"], first["uri"]), ("GET", discovery))
        self.assertEqual((second["method"], second["uri"]), ("POST", f"/{azure.tenant}/oauth2/v2.0/token"))
        self.assertIn("client_secret=<redacted>", second["body"])
        self.assertEqual(second["headers"]["content-type"], "application/x-www-form-urlencoded")

    def test_refusals_of_entra(self):
        with double("--expired-secret", "old", "--refused-secret", "fresh") as azure:
            for text, options in [
                ("AADSTS7000215: Invalid client secret provided.", {"client_secret": "wrong"}),
                ("AADSTS7000215: Invalid client secret provided.", {"client_secret": azure.secret_id}),
                ("AADSTS7000215: Invalid client secret provided.", {"client_secret": "fresh"}),
                ("AADSTS7000222: The provided client secret keys", {"client_secret": "old"}),
                ("AADSTS700016: Application with identifier", {"client_id": UNKNOWN}),
            ]:
                error = self.fails(Unauthenticated, text, azure.credential(**options).get_token, GRAPH)
                self.assertIn("Trace ID: ", str(error))
            resource = "https://unknown.example/.default"
            self.fails(Unauthenticated, "AADSTS500011: ", azure.credential().get_token, resource)
            # An unknown tenant is met in its discovery, of which the client says less.
            unknown = azure.credential(tenant_id=UNKNOWN)
            self.fails(Unauthenticated, "double check your tenant name", unknown.get_token, GRAPH)
            self.assertEqual(azure.credential().get_token(GRAPH).token.count("."), 2)
            scope = "https://graph.microsoft.com"
            self.fails(Unauthenticated, "AADSTS1002012: ", azure.credential().get_token, scope)
        self.assertEqual(len(azure.violations), 1)
        self.assertIn("a scope that is not one resource's /.default", azure.violations[0])

    def test_secrets_of_the_vault(self):
        flags = ["--vault", "main=s3cret", "--vault-expired", "old=ended", "--vault-disabled", "off"]
        with double(*flags) as azure:
            client = azure.secrets()
            self.assertEqual(client.get_secret("main").value, "s3cret")
            old = client.get_secret("old")
            self.assertEqual(old.value, "ended")
            self.assertLess(old.properties.expires_on, old.properties.expires_on.now(old.properties.expires_on.tzinfo))
            self.assertEqual(client.get_secret("old", old.properties.version).value, "ended")
            self.fails(ResourceNotFoundError, "SecretNotFound", client.get_secret, "missing")
            error = self.fails(HttpResponseError, "disabled secret", client.get_secret, "off")
            self.assertEqual((error.status_code, error.error.innererror["code"]), (403, "SecretDisabled"))
            listed = [secret.name for secret in client.list_properties_of_secrets(max_page_size=1)]
            self.assertEqual(listed, ["main", "off", "old"])

            made = azure.secrets().set_secret("probe", "hush", content_type="text", tags={"of": "timbr"})
            self.assertEqual((made.value, made.properties.tags), ("hush", {"of": "timbr"}))
            self.assertEqual(client.begin_delete_secret("probe").result().name, "probe")
            self.fails(ResourceExistsError, "deleted but recoverable", client.set_secret, "probe", "hush")
            client.purge_deleted_secret("probe")
            self.assertEqual(client.set_secret("probe", "again").value, "again")
        self.assertEqual(azure.violations, [])
        first, second, *_ = azure.asked("vault")
        self.assertEqual(first, second, "the first is without a token")
        self.assertTrue(first.startswith("GET /secrets/main/?api-version="), first)
        self.assertNotIn("hush", str(azure.received))

    def test_denials_of_the_vault(self):
        by = ["Rbac", "Policy", "Firewall", "Connection"]
        for code in ["AccessDenied", *(f"ForbiddenBy{what}" for what in by)]:
            denials = [flag for what in ["list", "get", "set", "delete"] for flag in ["--deny", f"{what}={code}"]]
            with self.subTest(code), double("--vault", "main=s3cret", *denials) as azure:
                client = azure.secrets()
                for call in [
                    lambda: client.get_secret("main"),
                    lambda: client.set_secret("main", "x"),
                    lambda: client.begin_delete_secret("main"),
                    lambda: list(client.list_properties_of_secrets()),
                ]:
                    error = self.fails(HttpResponseError, "(Forbidden)", call)
                    self.assertEqual((error.status_code, error.error.innererror["code"]), (403, code))
            self.assertEqual(azure.violations, [])

    def test_tokens_that_the_vault_refuses(self):
        class Fixed:
            def __init__(self, token):
                self.token = token

            def get_token(self, *scopes, **options):
                return AccessToken(self.token, 2**40)

        with double() as azure:
            graph = azure.credential().get_token(GRAPH).token
            forged = graph[:-9] + "A" * 9
            for token, text in [(graph, "AKV10022: Invalid audience"), (forged, "Error validating token")]:
                client = azure.secrets(Fixed(token))
                self.fails(Unauthenticated, text, client.get_secret, "main")
        self.assertEqual({violation.split(": ")[1] for violation in azure.violations}, {
            'a token for "https://graph.microsoft.com"',
            "a token whose signature is wrong",
        })

    def test_graph(self):
        roles = ["GroupMember.Read.All", "Application.Read.All", "DelegatedPermissionGrant.Read.All"]
        flags = [flag for role in roles for flag in ["--role", role]]
        flags += ["--group", "O'X & co=o'x+1@example.com", "--group", "Twins", "--group", "Twins"]
        flags += ["--redirect-uri", "https://timbr.example/cb", "--grant", "User.Read openid"]
        with double(*flags) as azure:
            found = azure.graph_get("groups", filter="displayName eq 'O''X & co'", select="id,mail").json()["value"]
            self.assertEqual([group["mail"] for group in found], ["o'x+1@example.com"])
            self.assertEqual(azure.graph_get(f"groups/{found[0]['id']}").json()["displayName"], "O'X & co")
            mail = azure.graph_get("groups", filter="mail eq 'o''x+1@example.com'").json()["value"]
            self.assertEqual([group["id"] for group in mail], [found[0]["id"]])
            page = azure.graph_get("groups", filter="displayName eq 'Twins'", top="1").json()
            token = azure.credential().get_token(GRAPH).token
            headers = {"authorization": f"Bearer {token}"}
            last = requests.get(page["@odata.nextLink"], headers=headers, verify=azure.ca, timeout=30).json()
            self.assertEqual((len(page["value"]), len(last["value"]), "@odata.nextLink" in last), (1, 1, False))
            app = azure.graph_get(f"applications(appId='{azure.client_id}')", select="web,passwordCredentials").json()
            self.assertEqual(app["web"]["redirectUris"], ["https://timbr.example/cb"])
            self.assertEqual(app["passwordCredentials"][0]["hint"], azure.secret[:3])
            principal = azure.graph_get(f"servicePrincipals(appId='{azure.client_id}')").json()["id"]
            grants = azure.graph_get("oauth2PermissionGrants", filter=f"clientId eq '{principal}'").json()["value"]
            self.assertEqual([grant["scope"] for grant in grants], ["User.Read openid"])
            missing = azure.graph_get(f"groups/{UNKNOWN}")
            self.assertEqual((missing.status_code, missing.json()["error"]["code"]), (404, "Request_ResourceNotFound"))
        self.assertEqual(azure.violations, [])
        with double("--fault", "graph:1:later=429,7,{}") as azure:
            limited = azure.graph_get("groups")
            self.assertEqual((limited.status_code, limited.headers["retry-after"]), (429, "7"))
            denied = azure.graph_get("groups")
            self.assertEqual((denied.status_code, denied.json()["error"]["code"]), (403, "Authorization_RequestDenied"))
            wrong = azure.graph_get("groups", token=azure.credential().get_token(VAULT).token)
            self.assertEqual((wrong.status_code, wrong.json()["error"]["code"]), (401, "InvalidAuthenticationToken"))
        self.assertEqual(len(azure.violations), 1)

    def test_databricks(self):
        with double("--databricks", "sp=s3cr+t") as azure:
            self.assertEqual(get_host_metadata(azure.databricks).oidc_endpoint, f"{azure.databricks}/oidc")
            headers = azure.databricks_config().authenticate()
            self.assertTrue(headers["Authorization"].startswith("Bearer "), headers.keys())
            self.fails(Exception, "invalid_client", lambda: azure.databricks_config(client_secret="x").authenticate())
        self.assertEqual(azure.violations, [])
        self.assertIn("GET /oidc/.well-known/oauth-authorization-server", azure.asked("databricks"))
        self.assertIn("POST /oidc/v1/token", azure.asked("databricks"))

    def test_faults(self):
        for fault in ["html", "garbage", "truncate", "lose", "close", "refuse=503,later"]:
            with self.subTest(fault), double("--vault", "main=s3cret", "--fault", f"vault:2:{fault}") as azure:
                client = azure.secrets()
                self.fails(Exception, "", client.get_secret, "main")
                self.assertEqual(client.get_secret("main").value, "s3cret")
            self.assertEqual(azure.violations, [])
        # It comes again when it is told to.
        with double("--vault", "main=s3cret", "--fault", "vault:2:later=429,1,slow") as azure:
            self.assertEqual(azure.secrets(retry_total=1).get_secret("main").value, "s3cret")
        self.assertEqual(azure.violations, [])
        with double("--fault", "entra:refuse=503,later") as azure:
            self.fails(Exception, "", azure.credential().get_token, GRAPH)

    def test_the_certificate_is_of_an_authority_of_its_own(self):
        with double() as azure:
            del os.environ["REQUESTS_CA_BUNDLE"]
            credential = azure.credential(connection_verify=True)
            self.fails(Unauthenticated, "CERTIFICATE_VERIFY_FAILED", credential.get_token, GRAPH)
        self.assertEqual(azure.received, [])


if __name__ == "__main__":
    for pin in PINS:
        name, version = pin.split("==")
        installed = importlib.metadata.version(name)
        assert installed == version, f"{name} {installed} is not {version}"
    # The clients write of every refusal, too.
    logging.disable()
    unittest.main(argv=sys.argv[:1], verbosity=2)
