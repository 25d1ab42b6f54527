"""What needs no service. Run by `tests/tests/service/python_client.rs`, with the installed wheel."""

import io
import json
import os
import tempfile
import unittest
import unittest.mock
from pathlib import Path
from types import SimpleNamespace

from cloister_client import Client, CloisterError, Denied, Job, NotSignedIn, Refused, Result
from cloister_client.client import _opened
from cloister_client.contexts import Connection, parse, resolve
from cloister_client.errors import refusal, shown


def result(name, index=0):
    return Result(SimpleNamespace(id="0"), {"name": name, "index": index, "bytes": 0, "kind": "output", "sha256": ""})


class Contexts(unittest.TestCase):
    def test_what_the_command_line_writes_is_read(self):
        text = (
            "current: lab\ncontexts:\n  lab:\n    url: https://lab.example/\n    key: 'clk_it''s'\n"
            '  "8":\n    url: "http://127.0.0.1:8090/"\n    keyFile: /etc/x.key\n'
        )
        contexts = {
            "lab": {"url": "https://lab.example/", "key": "clk_it's"},
            "8": {"url": "http://127.0.0.1:8090/", "keyFile": "/etc/x.key"},
        }
        self.assertEqual(parse(text), {"current": "lab", "contexts": contexts})
        self.assertEqual(parse("contexts: {}\n"), {"contexts": {}})
        self.assertEqual(parse("contexts:\ncurrent: a\n"), {"contexts": {}, "current": "a"})

    def test_an_expired_sign_in_is_not_sent(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "cloister", "config.yaml")
            path.parent.mkdir()
            for expires, refused in [("99999999999", False), ("1", True)]:
                path.write_text(
                    "current: lab\ncontexts:\n  lab:\n    url: https://lab.example/\n    key: token\n    signIn:\n"
                    f"      issuer: https://login.example\n      clientId: cli\n      audience: it\n      expires: {expires}\n"
                )
                with unittest.mock.patch.dict(os.environ, {"XDG_CONFIG_HOME": folder}, clear=True):
                    if refused:
                        with self.assertRaisesRegex(NotSignedIn, "cloister login"):
                            resolve(None, None, None, None)
                    else:
                        self.assertEqual(resolve(None, None, None, None).key, "token")

    def test_other_yaml_is_refused_without_quoting_it(self):
        for text in [
            "contexts: {a: {key: SECRET}}",
            "key: [SECRET]",
            "a:\n  b: SECRET\n c: x",
            "a: SECRET\na: SECRET",
            "- SECRET",
            "a: 'SECRET",
            'a: "SECRET',
            "a: *SECRET",
            "a: |\n  SECRET",
            "a: SECRET\n  b: SECRET",
        ]:
            with self.assertRaises(ValueError, msg=text) as caught:
                parse(text)
            self.assertNotIn("SECRET", str(caught.exception))


class Names(unittest.TestCase):
    def test_no_name_leads_out_of_the_folder(self):
        for name in ["a.csv", "tables/a.csv", "größe.csv"]:
            self.assertEqual(str(result(name)._safe_name()), name)
        for name in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\nb", "\u202eb", "a\\b", ".cloister-x", "x" * 256]:
            self.assertEqual(str(result(name, 7)._safe_name()), "result-7", name)

    def test_links_are_not_followed(self):
        with tempfile.TemporaryDirectory() as folder:
            outside, inside = Path(folder, "outside"), Path(folder, "inside")
            outside.mkdir()
            inside.mkdir()
            (inside / "tables").symlink_to(outside)
            (inside / "a.csv").symlink_to(outside / "a.csv")
            for name in ["tables/b.csv", "a.csv"]:
                with self.assertRaises(CloisterError):
                    result(name).save(inside)
            self.assertEqual(list(outside.iterdir()), [])


class Errors(unittest.TestCase):
    def test_a_refusal_names_its_rules(self):
        body = (
            b'{"type": "t", "title": "Denied", "status": 403, "detail": "the job may not run", "rules": ['
            b'{"rule": "raw-algorithm", "subject": "did:op:a", "text": "no raw algorithms", "advice": "publish it"}]}'
        )
        error = refusal(403, body)
        assert isinstance(error, Denied)
        self.assertEqual(error.rules[0]["rule"], "raw-algorithm")
        self.assertIn("raw-algorithm: no raw algorithms (did:op:a); publish it", str(error))

    def test_any_body_is_a_problem_and_safe_to_show(self):
        for body in [b"\x1b[2J<html>", b"", b"[]", b'{"title": "\\u001b", "rules": [1]}', b'{"title": 3, "rules": "no"}', b"\xff"]:
            error = refusal(502, body)
            assert isinstance(error, Refused) and error.rules == []
            self.assertIn("502", str(error))
            self.assertNotIn("\x1b", str(error))
        self.assertIsInstance(refusal(401, b"{}"), NotSignedIn)
        self.assertEqual(shown("a\u202eb\r\n"), "a\\u202eb\\r\\n")
        self.assertLessEqual(len(shown("\u202e" * 100_000)), 2001)


class Jobs(unittest.TestCase):
    def test_publish_asks_for_the_job_and_keeps_the_answer(self):
        wait = {"since": "", "next": "", "until": "", "failures": 2, "why": "the result store does not answer"}
        answer = json.dumps({"id": "00ff", "phase": "Publishing", "storeWait": wait}).encode()
        asked = []

        def open_request(request, timeout):
            asked.append((request.get_method(), request.full_url, request.data))
            return io.BytesIO(answer)

        client = Client(Connection("https://lab.example", "clk_key"))
        client._opener = SimpleNamespace(open=open_request)
        job = Job(client, {"id": "00ff", "phase": "Publishing", "storeWait": None})
        self.assertIs(job.publish(), job)
        self.assertEqual(asked, [("POST", "https://lab.example/v1/jobs/00ff/publish", b"{}")])
        self.assertEqual(job.state["storeWait"], wait)


class Folders(unittest.TestCase):
    def test_a_folder_is_packed_the_same_each_time(self):
        with tempfile.TemporaryDirectory() as folder:
            app = Path(folder, "app")
            (app / "lib").mkdir(parents=True)
            (app / "main.py").write_text("import lib")
            (app / "lib" / "__init__.py").write_text("")
            (app / ".env").write_text("SECRET")
            with _opened(app) as first, _opened(app) as second:
                content = first.read()
                self.assertEqual(content, second.read())
            self.assertNotIn(b"SECRET", content)
            (app / "link").symlink_to("/etc/passwd")
            with self.assertRaises(CloisterError):
                _opened(app)


if __name__ == "__main__":
    unittest.main()
