"""The Django plugin with a real Django and a file of SQLite, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

import rtbridge

ROOT = Path(rtbridge.__file__).parents[1]

SETTINGS = """
    import os

    SECRET_KEY = "x"
    INSTALLED_APPS = ["shop"]
    LOGGING_CONFIG = None
    USE_TZ = True
    DEBUG = os.environ.get("DEBUG") == "1"
    DATABASES = {
        "default": {"ENGINE": "counted", "NAME": "shop.sqlite3", "CONN_MAX_AGE": eval(os.environ["CONN_MAX_AGE"])}
    }
"""

#: Django's own backend, which counts what it opens and closes.
COUNTED = """
    import threading

    from django.db.backends.sqlite3 import base

    lock = threading.Lock()
    opened = closed = 0


    class DatabaseWrapper(base.DatabaseWrapper):
        def get_new_connection(self, conn_params):
            global opened
            with lock:
                opened += 1
            return super().get_new_connection(conn_params)

        def _close(self):
            global closed
            with lock:
                closed += self.connection is not None
            return super()._close()
"""

MODELS = """
    from django.db import models


    class Order(models.Model):
        title = models.CharField(max_length=100)

        class Meta:
            app_label = "shop"
"""

HOOKS = """
    from django.db import connection

    from rtbridge import RPCResult, Router, hookimpl
    from shop.models import Order

    router = Router()


    @hookimpl
    def on_boot():
        with connection.schema_editor() as editor:
            editor.create_model(Order)


    @router.on_rpc("add")
    def add(event, data):
        return RPCResult(data=Order.objects.create(title=data).pk)


    @router.on_rpc("count")
    def count(event):
        return RPCResult(data={"orders": Order.objects.count(), "queries": len(connection.queries)})


    @router.on_rpc("break")
    def break_it(event):
        connection.ensure_connection()
        connection.is_usable = lambda: False  # sqlite's says that it always is; a server's asks the server
        connection.connection.close()
        return RPCResult(data=Order.objects.count())


    @router.on_rpc("age")
    def age(event):
        connection.ensure_connection()
        connection.close_at = 0.0
        return RPCResult(data=id(connection.connection))


    @hookimpl
    def after_event():
        Order.objects.exists()
"""

MAIN = """
    import asyncio
    import json
    import sys

    from rtbridge.testing import App

    async def main():
        told = {}
        config = {"rtbridge": {"plugins": PLUGINS, "threads": 4}}
        async with App(config=config) as app:
            import counted.base as counted

            await body(app, told)
            await app.runtime.bridge.drain()
        told["opened"], told["open"] = counted.opened, counted.opened - counted.closed
        print(json.dumps(told))

    async def body(app, told):
    BODY

    asyncio.run(main())
"""

pytestmark = pytest.mark.timeout(90)

PLUGINS = ["rtbridge.plugins.django", "shop.hooks"]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A Django project with one app, whose hooks use its models."""
    files = {
        "settings.py": SETTINGS,
        "counted/__init__.py": "",
        "counted/base.py": COUNTED,
        "shop/__init__.py": "",
        "shop/models.py": MODELS,
        "shop/hooks.py": HOOKS,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(dedent(text))
    return tmp_path


def python(folder: Path, code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A process in the project's folder."""
    found = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    found |= {"PYTHONPATH": os.pathsep.join((str(ROOT), str(folder))), **environment}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, env=found, capture_output=True, text=True, timeout=60
    )


def run(folder: Path, body: str, *, age: str, plugins: list[str] = PLUGINS, **environment: str) -> dict[str, Any]:
    """What an application of those hooks tells."""
    code = dedent(MAIN).replace("BODY", indent(dedent(body), "    ")).replace("PLUGINS", repr(plugins))
    ended = python(folder, code, CONN_MAX_AGE=age, DJANGO_SETTINGS_MODULE="settings", **environment)
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


THOUSAND = """
        added = await asyncio.gather(*(app.rpc("add", str(number)) for number in range(1000)))
        told["added"] = len({outcome.result.data for outcome in added})
        told["count"] = (await app.rpc("count")).result.data["orders"]
"""


@pytest.mark.parametrize(("age", "most"), [("0", 0), ("None", 4), ("60", 4)])
def test_a_thousand_events(shop: Path, age: str, most: int) -> None:
    """No more connections stay open than hooks have threads, and none where they are not to be kept."""
    told = run(shop, THOUSAND, age=age)
    assert (told["added"], told["count"]) == (1000, 1000)
    assert told["open"] <= most
    assert told["opened"] >= 1000 if age == "0" else told["opened"] <= 4


def test_without_the_plugin_they_stay(shop: Path) -> None:
    """What `CONN_MAX_AGE` says is Django's request cycle's to keep, which does not run here."""
    code = shop / "shop" / "hooks.py"
    code.write_text("import django\ndjango.setup()\n" + code.read_text())
    told = run(shop, THOUSAND, age="0", plugins=["shop.hooks"])
    assert told["open"] > 0


def test_a_connection_that_broke(shop: Path) -> None:
    """The event that meets it fails; the next one on that thread has a new one."""
    body = """
        for _ in range(4):
            told["broken"] = (await app.rpc("break")).error.code
            told["next"] = (await app.rpc("count")).result.data["orders"]
    """
    told = run(shop, body, age="None")
    assert (told["broken"], told["next"]) == (100, 0)


def test_a_connection_that_is_too_old(shop: Path) -> None:
    """It is replaced after the hooks that it served."""
    body = """
        await asyncio.gather(*(app.rpc("age") for _ in range(20)))
    """
    told = run(shop, body, age="60")
    assert told["opened"] >= 20
    assert told["open"] <= 4


def test_queries_are_forgotten(shop: Path) -> None:
    """With DEBUG Django notes every query; each run of hooks begins with none."""
    body = """
        for _ in range(10):
            told["queries"] = (await app.rpc("count")).result.data["queries"]
    """
    assert run(shop, body, age="None", DEBUG="1")["queries"] <= 2


def test_without_settings(shop: Path) -> None:
    """It says which variable is missing, and where it may stand."""
    ended = python(shop, "import rtbridge.plugins.django")
    assert ended.returncode == 1
    assert (
        "PluginError: rtbridge.plugins.django needs settings; set DJANGO_SETTINGS_MODULE, for example under server.env"
    ) in ended.stderr


def test_without_django(shop: Path) -> None:
    """It says what to install."""
    ended = python(shop, "import sys\nsys.modules['django'] = None\nimport rtbridge.plugins.django")
    assert ended.returncode == 1
    assert "needs Django; install it with pip install 'rtbridge[django]'" in ended.stderr


def test_settings_that_are_configured_by_hand(shop: Path) -> None:
    """They are enough."""
    code = """
from django.conf import settings
settings.configure(DATABASES={}, LOGGING_CONFIG=None)
import rtbridge.plugins.django
print("fine")
"""
    assert python(shop, code).stdout == "fine\n"


def test_it_comes_with_the_command_line(shop: Path) -> None:
    """`server.env` names the settings, and plugins after it import models."""
    (shop / ".rr.yaml").write_text(
        dedent(
            """
            version: "3"
            server: {env: {DJANGO_SETTINGS_MODULE: settings, CONN_MAX_AGE: "0"}}
            rtbridge: {plugins: [rtbridge.plugins.django, shop.hooks], entry_points: false}
            """
        )
    )
    ended = python(shop, "import sys\nsys.argv[1:] = ['hooks', '--json']\nfrom rtbridge.cli import main\nmain()")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert [step["name"] for step in found["lifecycle"]["around_blocking"]] == [
        "rtbridge.plugins.django.around_blocking"
    ]
