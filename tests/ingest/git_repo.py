"""A real git repository in a folder, with fixed names and times, so that its SHAs are always the same."""

import os
import subprocess


class GitRepo:
    def __init__(self, folder):
        self.folder = folder
        self.time_s = 1_700_000_000
        self.author = "Ada Løvelace"
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments):
        who = {"NAME": self.author, "EMAIL": "ada@example.org", "DATE": f"{self.time_s} +0100"}
        fixed = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
        environment = {**os.environ, **fixed, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        command = ["git", "-C", str(self.folder), "-c", "protocol.file.allow=always", *arguments]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, message, **files):
        """Commit, after writing ``files`` (``__`` in a name is a folder, ``_md`` and ``_py`` its ending)."""
        for key, content in files.items():
            self.write(key.replace("__", "/").replace("_md", ".md").replace("_py", ".py"), content)
        self.time_s += 60
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--allow-empty-message", "--message", message)
        return self.git("rev-parse", "HEAD")
