"""Hooks of mkdocs: the pages of the API list what `__all__` offers; links into the clone."""

import importlib
import re
import types
from pathlib import Path

ROOT = Path(__file__).parents[2]


def on_page_markdown(markdown, page, config, **_):
    """Write the names of a module in place of `[members: MODULE]`; fix links out of docs/."""
    markdown = re.sub(r"^\[members: (.*)\]$", _members, markdown, flags=re.MULTILINE)
    folder = Path(config["docs_dir"], page.file.src_uri).parent

    def outside(link):
        path = (folder / link[1]).resolve()
        if path.exists() and not path.is_relative_to(config["docs_dir"]):
            return f"]({config['repo_url']}/blob/main/{path.relative_to(ROOT).as_posix()})"
        return link[0]

    return re.sub(r"\]\(((?!https?:)[^)#]+)\)", outside, markdown)


def _name_there(value, member):
    """Return the name of a class or function in its own module."""
    there = importlib.import_module(value.__module__)
    return member if hasattr(there, member) else value.__name__


def _members(match):
    """Return one line for mkdocstrings for each class and function of a module's `__all__`."""
    name = match[1]
    module = importlib.import_module(name)
    members = getattr(module, "__all__", None) or [
        member
        for member, value in vars(module).items()
        if not member.startswith("_") and getattr(value, "__module__", None) == name
    ]
    values = {member: getattr(module, member) for member in members}
    return "\n\n".join(
        # By its own file: some modules have the name of their function.
        f'<a id="{name}.{member}"></a>\n\n'
        f"::: {value.__module__}.{_name_there(value, member)}\n"
        f"    options:\n      heading: {name}.{member}\n      toc_label: {member}"
        for member, value in values.items()
        if not isinstance(value, types.ModuleType)
    )
