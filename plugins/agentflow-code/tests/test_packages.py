"""What code:install installs, and what it refuses."""

from __future__ import annotations

import zipfile

import pytest

from agentflow_code.config import PackagesConfig


@pytest.fixture
def wheels(tmp_path):
    """A folder with three small wheels; one needs another, one is of a package that is installed."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, needs in (("tinydist", ""), ("needydist", "Requires-Dist: tinydist\n"), ("ipython", "")):
        with zipfile.ZipFile(folder / f"{name}-9999-py3-none-any.whl", "w") as wheel:
            info = f"{name}-9999.dist-info"
            wheel.writestr(f"{name}_module.py", "answer = 42\n")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 9999\n{needs}")
            wheel.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{info}/RECORD", "")
    return folder


async def install(sandbox, *packages):
    return await sandbox.execute("code:install", {"packages": list(packages), "timeout_s": 100})


async def test_nothing_is_installed_unless_it_is_allowed(opened, wheels):
    async with opened(warm=False, packages=PackagesConfig(wheels=wheels)) as sandbox:
        assert (await install(sandbox, "tinydist")).code == "policy_denied"
        assert (await install(sandbox)).text == "allowed are: none"


@pytest.mark.parametrize("kind", ["bwrap", "none"])
async def test_allowed_wheels_are_installed_into_the_session_and_stay_after_a_restart(opened, wheels, kind):
    packages = PackagesConfig(allow=("TinyDist", "needydist"), wheels=wheels)
    async with opened(kind=kind, packages=packages) as sandbox:
        result = await install(sandbox, "needydist")
        assert result.data == {"installed": {"needydist": "9999", "tinydist": "9999"}}, result.text
        code = "import tinydist_module\ntinydist_module.answer"
        assert (await sandbox.execute("code:run", {"code": code})).text == "42"
        await sandbox.execute("code:reset", {})
        assert (await sandbox.execute("code:run", {"code": code})).text == "42"
        other = await sandbox.worker("other").execute("code:run", {"code": code})
        assert other.data["error"]["name"] == "ModuleNotFoundError"


async def test_what_is_refused_says_what_is_allowed(opened, wheels):
    packages = PackagesConfig(allow=("needydist", "ipython"), wheels=wheels)
    async with opened(warm=False, packages=packages) as sandbox:
        needs = await install(sandbox, "needydist")
        assert (needs.code, "tinydist" in needs.message) == ("policy_denied", True)
        other = await install(sandbox, "requests")
        assert (other.code, "needydist" in other.hint) == ("policy_denied", True)
        url = await install(sandbox, "needydist @ file:///etc")
        assert url.code == "policy_denied"
        for odd in ("--index-url=x", "../wheels/needydist", "needydist; rm", "-e ."):
            assert (await install(sandbox, odd)).code in ("invalid_argument", "policy_denied")
        assert (await install(sandbox, "ipython==9999")).code == "conflict"
        assert (await install(sandbox, "needydist==1")).code == "not_found"
