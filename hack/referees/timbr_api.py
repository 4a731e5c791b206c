"""Timbr's own client, pytimbr-api, against the double of Timbr's REST API (testkit/src/timbr_api.rs).

What it sends must be no violation to the double, and what the double answers must mean to it what it
means to the operator's tests. hack/referees/run-timbr-api runs it; the argument is the double's program.
"""

import importlib.metadata
import json
import subprocess
import sys
import unittest
from contextlib import contextmanager

import pytimbr_api
import requests

VERSION = "2.2.0"
TENANT, JWT = "tenant-1", "header.claims.signature"
SELECT, ROWS = "SELECT * FROM timbr.sys_concepts", [{"concept": "person", "name": "Zoë"}]
MAP = r"ALTER ROLE `admins` SYNC name = 'Zoë\'s'"
PROGRAM = sys.argv.pop(1)


class Double:
    """A running double; when it has ended, also what it received."""

    def __init__(self, ready):
        self.url, self.key = ready["url"], ready["key"]
        self.received, self.violations, self.mappings = [], [], {}

    def query(self, query=SELECT, **options):
        usual = {"url": self.url, "ontology": "system_db", "token": self.key}
        return pytimbr_api.run_query(query=query, **usual | options)

    def result(self, response_id):
        return pytimbr_api.get_async_result(url=self.url, response_id=response_id, token=self.key)


@contextmanager
def double(*flags):
    flags = ["--role", "admins", "--answer", f"{SELECT}=>{json.dumps(ROWS)}", *flags]
    with subprocess.Popen([PROGRAM, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        api = Double(json.loads(process.stdout.readline()))
        try:
            yield api
        finally:
            # Its input ends here, and so does it.
            vars(api).update(json.loads(process.communicate(timeout=30)[0]))


class Referee(unittest.TestCase):
    def fails(self, text, call, *args, **options):
        """The client knows an error by its text only; the status is dropped."""
        with self.assertRaises(Exception) as raised:
            call(*args, **options)
        self.assertIn(text, str(raised.exception))

    def test_rows_and_what_is_sent(self):
        with double() as api:
            self.assertEqual(api.query(), ROWS)
            self.assertEqual(api.query(nested="true", datasource="lake"), ROWS)
            self.assertEqual(api.query(SELECT.encode(), url=api.url + "/"), ROWS)
            self.assertEqual(pytimbr_api.simpleQueryExecution(api.url, "system_db", api.key, SELECT), ROWS)
        self.assertEqual(api.violations, [])
        first, second, *_ = api.received
        self.assertEqual((first["method"], first["uri"]), ("POST", "/timbr/openapi/ontology/system_db/query"))
        self.assertEqual(second["uri"], "/timbr/openapi/ontology/system_db/query?datasource=lake")
        headers = first["headers"]
        named = {"content-type": "application/text", "nested": "false", "connection": "close"}
        named["x-api-key"] = "<redacted>"
        self.assertEqual({name: headers.pop(name, None) for name in named}, named)
        # The rest is what the HTTP library under it adds.
        self.assertEqual(headers.keys(), {"accept", "accept-encoding", "content-length", "host", "user-agent"})

    def test_statements_about_roles(self):
        with double() as api:
            self.assertEqual(api.query(MAP), [])
            self.assertEqual(api.query("SYNC ROLE `admins`"), [])
            self.fails("Error: Role 'nobody' does not exist", api.query, "SYNC ROLE `nobody`")
        self.assertEqual((api.violations, api.mappings), ([], {"admins": {"name": "Zoë's"}}))
        with double("--may-edit", "false") as api:
            self.fails("Error: Access denied", api.query, MAP)
        self.assertEqual((api.violations, api.mappings), ([], {}))

    def test_refusals(self):
        with double() as api:
            self.fails("Error: x-api-key is not the key", api.query, token="tk_other")
            self.fails("Error: Unknown database 'none'", api.query, ontology="none")
            self.fails("Error: SQL: a `;`", api.query, MAP + ";")
        self.assertEqual([violation.split(":")[0] for violation in api.violations], ["request 1", "request 3"])
        self.assertEqual(api.received[2]["sql"], MAP + ";")

    def test_faults(self):
        parse, cut = "Could not parse response from timbr server: ", "Connection aborted"
        for fault, text, executed in [
            ("refuse=403,not you", "Error: not you", False),
            ("refuse=204,", "Error: ", False),
            ("reject-credential", "HTTP Response code: 401", False),
            ("html", parse, False),
            ("garbage", parse, True),
            ("truncate", "Response ended prematurely", True),
            ("lose", cut, True),
            ("close", cut, False),
        ]:
            with self.subTest(fault), double("--fault", f"1:{fault}") as api:
                self.fails(text, api.query, MAP)
                self.assertEqual(api.query(), ROWS)
            # It never repeats what was sent.
            self.assertEqual((api.violations, len(api.received)), ([], 2))
            self.assertEqual((api.received[0]["executed"], bool(api.mappings)), (executed, executed))
        with double("--fault", "huge") as api:
            self.assertGreater(len(api.query()[0]["filler"]), 49_000_000)
        with double("--fault", "delay=200") as api:
            self.assertEqual(api.query(), ROWS)

    def test_jwt(self):
        with double("--jwt", f"{JWT}@{TENANT}") as api:
            self.assertEqual(api.query(token=JWT, is_jwt=True, jwt_tenant_id=TENANT), ROWS)
            self.assertEqual(api.query(token=JWT, is_jwt=True), ROWS)
            self.fails("is not the token", api.query, token="other", is_jwt=True)
            self.fails("is not the tenant", api.query, token=JWT, is_jwt=True, jwt_tenant_id="other")
        with_tenant, without, *_ = (request["headers"] for request in api.received)
        self.assertEqual((with_tenant["x-jwt-token"], with_tenant["x-jwt-tenant-id"]), ("<redacted>", TENANT))
        self.assertNotIn("x-jwt-tenant-id", without)
        self.assertFalse({"x-api-key", "authorization"} & with_tenant.keys())
        self.assertEqual(len(api.violations), 2)

    def test_impersonation(self):
        with double() as api:
            # An underscore in a name is sent as a hyphen.
            self.assertEqual(api.query(additional_headers={"x_api-impersonate_user": "zoe"}), ROWS)
        self.assertEqual((api.violations, api.received[0]["headers"]["x-api-impersonate-user"]), ([], "zoe"))

    def test_asynchronous_queries(self):
        with double() as api:
            response_id = api.query(is_async=True)["response_id"]
            self.assertEqual(api.result(response_id)["status"], "running")
            done = {"status": "completed", "response": ROWS, "original_status_code": 200}
            self.assertEqual(api.result(response_id), done)
            self.fails(f"Async result not found (expired or already fetched): {response_id}", api.result, response_id)
            failed = api.query("SYNC ROLE `nobody`", is_async=True)["response_id"]
            self.assertEqual(api.result(failed)["status"], "running")
            self.assertEqual(api.result(failed)["error"], "Role 'nobody' does not exist")
        self.assertEqual((api.violations, api.received[0]["headers"]["x-async"]), ([], "true"))

    def test_ontologies(self):
        with double("--ontology", "sales") as api:
            answer = requests.get(api.url + "/timbr/api/get_ontologies/", headers={"x-api-key": api.key}, timeout=30)
        self.assertEqual(answer.json(), {"data": ["sales", "system_db"], "status": "success"})
        self.assertEqual(api.violations, [])


if __name__ == "__main__":
    installed = importlib.metadata.version("pytimbr-api")
    assert installed == VERSION, f"pytimbr-api {installed} is not {VERSION}"
    unittest.main(verbosity=2)
