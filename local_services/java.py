"""Java programs from jars that Maven downloads."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from local_services.process import ServiceStartError, writable

MINIMUM = 17
"""Oldest Java that Hadoop 3.5 and Spark 4 run on."""
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
SMALL = (
    "-Xms64m",
    "-XX:+UseSerialGC",
    "-XX:MaxMetaspaceSize=192m",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
)
"""Options for servers on one machine: little memory, a fast start, IPv4 loopback."""


class JavaNotFoundError(ServiceStartError):
    """Java or Maven is missing, or Java is too old; the message includes the fix."""


def java_home() -> Path:
    """Return JAVA_HOME, or the home of the `java` on PATH. Raises JavaNotFoundError."""
    fix = f"install Java {MINIMUM} or newer (apt-get install openjdk-17-jdk), or set JAVA_HOME"
    program = shutil.which("java", path=_bin_of_java_home())
    if program is None:
        place = os.environ.get("JAVA_HOME") or "PATH"
        raise JavaNotFoundError(f"Java was not found in {place}; {fix}")
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if not found or int(found[1]) < MINIMUM:
        raise JavaNotFoundError(f"{program} is not Java {MINIMUM} or newer; {fix}")
    return Path(program).resolve().parents[1]


def _bin_of_java_home() -> str | None:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin") if home else None


def download_jars(pom: Path, folder: Path) -> Path:
    """Copy the jars of a pom.xml and what they depend on to `folder`, once; return it.

    Raises JavaNotFoundError without Maven.
    """
    copied = folder / pom.name
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # tests may run in parallel
        if copied.is_file() and copied.read_text() == pom.read_text():
            return folder
        maven = shutil.which("mvn")
        if maven is None:
            raise JavaNotFoundError(
                "Maven was not found on PATH; install it (apt-get install maven) and run this again"
            )
        for old in folder.glob("*.jar"):
            old.unlink()
        command = [maven, "-q", "-B", "-ntp", "-f", str(pom), COPY]
        done = subprocess.run(
            [*command, "-DincludeScope=runtime", f"-DoutputDirectory={folder}"],
            env={**os.environ, "JAVA_HOME": str(java_home())},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = next(
                (line for line in done.stdout.splitlines() if "ERROR" in line), "no output"
            )
            raise ServiceStartError(f"Maven cannot download the jars of {pom}: {reason}")
        shutil.copyfile(pom, copied)
    return folder


def java_command(
    main: str,
    *arguments: str,
    classpath: str,
    megabytes: int,
    properties: Mapping[str, object],
) -> tuple[str, ...]:
    """Return the command of a Java program with a heap of `megabytes`."""
    java = str(java_home() / "bin" / "java")
    options = [f"-D{name}={value}" for name, value in properties.items()]
    return (java, f"-Xmx{megabytes}m", *SMALL, *options, "-cp", classpath, main, *arguments)
