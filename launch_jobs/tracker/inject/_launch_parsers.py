"""Watches the parsers of click, typer, Hydra, absl and fire. Loaded by the tracker once a program imports one of them.

As with argparse, a method's place in its class is taken by an object that tells us of the look-up and gives the method
itself: no frame of ours is on the stack while the program's code runs. Standard library only, CPython 3.8 and later.
"""

import os
import sys

OURS = (lambda: None).__code__.co_filename
MOST_PARAMETERS = 2000
SECRETS = ("TOKEN", "SECRET", "PASSW", "KEY", "CREDENTIAL")
"""In the name of what no value is taken of, where it came from the environment or a question at the terminal."""


class Lookup:
    """Stands in for a method of a class until `restore`; `seen(instance, frame)` is told of each look-up."""

    def __init__(self, others, owner, name, seen):
        self.others, self.owner, self.name, self.seen = others, owner, name, seen
        self.original = owner.__dict__[name]
        setattr(owner, name, self)

    def restore(self):
        if self.owner.__dict__.get(self.name) is self:
            setattr(self.owner, self.name, self.original)

    def __get__(self, instance, owner=None):
        try:
            self.seen(instance, sys._getframe(1))
        except Exception:
            if self.others.foreign(sys.exc_info()[2]):
                raise
            self.restore()
        return self.original.__get__(instance, owner)


class Others:
    def __init__(self, tracker, names):
        self.append = tracker.append
        self.plain = names["plain"]
        self.is_foreign = names["foreign"]
        names["OURS"] |= {OURS}
        self.library = ""
        self.waiting = {}
        self.lookups = {}
        self.root = None
        self.args = []
        self.places = {
            "click": ("click.core", ("Command", "Context"), self.watch_click),
            "typer._click": ("typer._click.core", ("Command", "Context"), self.watch_click),
            "hydra": ("hydra._internal.config_loader_impl", ("ConfigLoaderImpl",), self.watch_hydra),
            "absl.flags": ("absl.flags._flagvalues", ("FlagValues",), self.watch_absl),
        }

    def imported(self, name):
        """Something is about to be imported: maybe the first thing behind a parser's module, which is whole then."""
        if name in self.places:
            self.waiting[name] = self.places.pop(name)
        for library, (core, classes, watch) in list(self.waiting.items()):
            found = vars(sys.modules[core]) if core in sys.modules else {}
            if all(each in found for each in classes):
                del self.waiting[library]
                watch(library, *[found[each] for each in classes])

    def foreign(self, trace):
        """Whether the program raised it, such as a signal handler; not we, nor the library that we asked."""
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if file != OURS and not (self.library and file.startswith(self.library)):
                return self.is_foreign(trace)
            trace = trace.tb_next
        return False

    def claims(self, frame):
        """Whether argparse is at work for fire, which is journalled by what it was given."""
        caller = frame
        for _ in range(4):
            if caller is None:
                return False
            if caller.f_code.co_name == "Fire" and caller.f_globals.get("__name__") == "fire.core":
                self.fired(caller.f_locals)
                return True
            caller = caller.f_back
        return False

    def known(self, described, **values):
        """Add those values that are plain data."""
        for name, value in values.items():
            try:
                described[name] = self.plain(value)
            except ValueError:
                continue  # left out
        return described

    # --- click and typer ----------------------------------------------------------------------------------------------

    def watch_click(self, library, command, context):
        first = Lookup(self, command, "make_context", lambda *seen: self.rooted(first, *seen))
        each = Lookup(self, context, "invoke", lambda *seen: self.invoked(each, *seen))

    def rooted(self, lookup, command, frame):
        local = frame.f_locals
        if command is not None and local.get("args") == sys.argv[1:] and "ctx" not in local:
            lookup.restore()
            self.root, self.args = command, list(local["args"])

    def invoked(self, lookup, context, _frame):
        if context is None or self.root is None:
            return
        chain = []
        while context is not None and len(chain) < 50:
            chain.insert(0, context)
            context = context.parent
        if chain[0].command is not self.root:
            return
        if not is_group(chain[-1].command):
            lookup.restore()
        levels = [self.level(each) for each in chain]
        self.append("parser", {"library": "click", "args": self.args, "levels": levels})

    def level(self, context):
        command = context.command
        parameters = command.params[:MOST_PARAMETERS]
        return {
            "name": str(context.info_name),
            "group": is_group(command),
            "chain": bool(getattr(command, "chain", False)),
            "interspersed": bool(getattr(context, "allow_interspersed_args", True)),
            "unknown": bool(getattr(context, "ignore_unknown_options", False)),
            "params": [self.click_parameter(each, context) for each in parameters],
        }

    def click_parameter(self, param, context):
        default = param.default
        if type(default).__name__ in ("Sentinel", "UnsetType"):
            default = None
        flag = bool(getattr(param, "is_flag", False))
        described = {
            "kind": str(getattr(param, "param_type_name", "option")),
            "name": str(param.name),
            "flags": [str(each) for each in param.opts],
            "off": [str(each) for each in param.secondary_opts],
            "nargs": param.nargs if type(param.nargs) is int else 1,
            "multiple": bool(getattr(param, "multiple", False)),
            "required": bool(param.required),
            "count": bool(getattr(param, "count", False)),
            "is_flag": flag,
            "optional_value": bool(getattr(param, "_flag_needs_value", False)),
            "eager": bool(param.is_eager),
            "exposed": bool(param.expose_value),
            "hidden": bool(getattr(param, "hide_input", False)),
            "help": getattr(param, "help", None) if isinstance(getattr(param, "help", None), str) else None,
            "source": source_of(context, param.name),
            "type": click_type(param),
        }
        if flag and not getattr(param, "is_bool_flag", False) and type(getattr(param, "flag_value", True)) is str:
            described["value"] = param.flag_value
        secret = described["hidden"] or any(word in ascii((param.name, param.envvar)).upper() for word in SECRETS)
        if described["source"] not in ("", "COMMANDLINE", "DEFAULT") and not secret:
            self.known(described, found=member(context.params.get(param.name)))
        return self.known(described, default=member(default), envvar=getattr(param, "envvar", None))

    # --- Hydra --------------------------------------------------------------------------------------------------------

    def watch_hydra(self, _library, loader):
        first = Lookup(self, loader, "_apply_overrides_to_config", lambda *seen: self.composed(first, *seen))

    def composed(self, lookup, _instance, frame):
        """The configuration is composed of its files, and the values on the command line are about to be set."""
        local, args = frame.f_locals, sys.argv[1:]
        if not all(text in args for text in local.get("overrides", ())):
            return
        lookup.restore()
        omegaconf = sys.modules["omegaconf"]
        self.library = os.path.dirname(os.path.dirname(omegaconf.__file__))  # noqa: PTH120
        config = omegaconf.OmegaConf.to_container(local["cfg"], resolve=False)
        config.pop("hydra", None)
        overrides = [self.override(each) for each in local["config_overrides"]]
        groups = self.groups(local)
        self.library = ""
        self.append(
            "parser",
            {
                "library": "hydra",
                "args": args,
                "config": self.tree(config, 0),
                "texts": [str(text) for text in local["overrides"]],
                "overrides": overrides,
                "groups": groups,
            },
        )

    def groups(self, local):
        """The groups of the defaults list: the file that is chosen in each, and those that could be."""
        known = getattr(local["defaults_list"].overrides, "known_choices", {})
        found = []
        for name, choice in known.items():
            if not name.startswith("hydra/") and (choice is None or isinstance(choice, str)):
                options = local["caching_repo"].get_group_options(name.partition("@")[0])
                found.append({"name": str(name), "choice": choice, "options": [str(each) for each in options][:1000]})
        return found

    def override(self, one):
        described = {"key": str(one.key_or_group), "text": str(one.input_line), "kind": one.type.name}
        if described["kind"] == "CHANGE" and not one.is_sweep_override():
            self.known(described, value=one.value())
        return described

    def tree(self, value, depth):
        """A configuration as plain data; what is none becomes its type's name in a tuple."""
        if isinstance(value, dict) and depth < 60:
            return {str(name): self.tree(one, depth + 1) for name, one in value.items()}
        try:
            return self.plain(member(value))
        except ValueError:
            return (type(value).__name__,)

    # --- absl ---------------------------------------------------------------------------------------------------------

    def watch_absl(self, _library, values):
        first = Lookup(self, values, "_parse_args", lambda *seen: self.flagged(first, *seen))

    def flagged(self, lookup, values, frame):
        argv = frame.f_locals.get("argv")
        if values is None or argv is None or list(argv)[1:] != sys.argv[1:]:
            return
        lookup.restore()
        flags = [
            self.absl_flag(each, module.partition(".")[0] != "absl")
            for module, own in values.flags_by_module_dict().items()
            for each in own
        ]
        self.append("parser", {"library": "absl", "args": list(argv)[1:], "flags": flags[:MOST_PARAMETERS]})

    def absl_flag(self, flag, own):
        kinds = [kind.__name__ for kind in type(flag.parser).__mro__]
        described = {
            "name": str(flag.name),
            "short": flag.short_name if isinstance(flag.short_name, str) else None,
            "own": own,
            "boolean": bool(flag.boolean),
            "multiple": "MultiFlag" in names_of(type(flag)),
            "kinds": kinds,
            "help": flag.help if isinstance(flag.help, str) else None,
        }
        limits = {
            "least": getattr(flag.parser, "lower_bound", None),
            "most": getattr(flag.parser, "upper_bound", None),
            "choices": getattr(flag.parser, "enum_values", None),
        }
        return self.known(described, default=flag.default, **limits)

    # --- fire ---------------------------------------------------------------------------------------------------------

    def fired(self, local):
        """The arguments as fire has them, and the function that they begin with, if they do."""
        args, component = local.get("args"), local.get("component")
        if local.get("command") is not None or list(args) != sys.argv[1:]:
            return
        words = []
        while not is_function(component) and len(words) < min(len(args), 10):
            words.append(args[len(words)])
            members = component if type(component) is dict else getattr(component, "__dict__", {})
            component = members.get(words[-1])
        described = {"library": "fire", "args": list(args), "words": words}
        if is_function(component):
            described["params"] = self.signature(component)
        self.append("parser", described)

    def signature(self, function):
        code, defaults = function.__code__, function.__defaults__ or ()
        positional = code.co_varnames[: code.co_argcount]
        keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        with_default = dict(zip(positional[len(positional) - len(defaults) :], defaults))  # noqa: B905 - Python 3.8
        with_default.update(function.__kwdefaults__ or {})
        found = []
        for name in positional + keywords:
            described = {"name": name, "required": name not in with_default}
            found.append(self.known(described, default=with_default[name]) if name in with_default else described)
        if code.co_flags & 0x0C:  # *args or **kwargs
            found.append({"name": "", "required": False})
        return found


def is_function(value):
    return type(value).__name__ == "function"


def is_group(command):
    return hasattr(command, "list_commands")


def names_of(kind):
    return [each.__name__ for each in kind.__mro__]


def member(value):
    """A member of an enumeration as the command line names it; of several, each."""
    if type(value) in (list, tuple):
        return [member(each) for each in value]
    if hasattr(type(value), "__members__"):
        return value.value if type(value.value) in (str, int, float) else value.name
    return value


def source_of(context, name):
    """Where click had a value from: COMMANDLINE, ENVIRONMENT, PROMPT, DEFAULT_MAP, DEFAULT; "" before click 8."""
    ask = getattr(context, "get_parameter_source", None)
    found = ask(name) if ask else None
    return found.name if found is not None else ""


def click_type(param):
    """Of click, by the classes of its types; of a newer typer, by the annotation."""
    descriptor = getattr(param, "type_descriptor", None)
    if descriptor is not None:
        return annotated_type(param, descriptor.annotation)
    kind, kinds = param.type, names_of(type(param.type))
    described = {"name": click_kind(kind)}
    if "Choice" in kinds and all(isinstance(each, str) for each in kind.choices):
        described.update(choices=[str(each) for each in kind.choices], exact=bool(kind.case_sensitive))
    if ("IntRange" in kinds or "FloatRange" in kinds) and not getattr(kind, "clamp", False):
        described.update(bounds(kind.min, kind.max))
        described["open"] = [bool(getattr(kind, "min_open", False)), bool(getattr(kind, "max_open", False))]
    if "Tuple" in kinds:
        members = {click_kind(each) for each in kind.types}
        described["name"] = members.pop() if len(members) == 1 else "tuple"
    return described


def click_kind(kind):
    names = {"IntParamType": "int", "FloatParamType": "float", "BoolParamType": "bool", "StringParamType": "str"}
    return next((names[each] for each in names_of(type(kind)) if each in names), "other")


def annotated_type(param, annotation):
    while getattr(annotation, "__args__", None) and getattr(annotation, "__origin__", None) is list:
        annotation = annotation.__args__[0]
    if getattr(annotation, "__origin__", None) is tuple:
        members = set(annotation.__args__)
        one = members.pop() if len(members) == 1 else None
        return {"name": one.__name__ if one in (int, float, bool, str) else "tuple"}
    described = {"name": annotation.__name__ if annotation in (int, float, bool, str) else "other"}
    if hasattr(annotation, "__members__"):
        described.update(choices=[str(each.value) for each in annotation], exact=True)
    elif getattr(annotation, "__args__", None) and all(type(each) is str for each in annotation.__args__):
        described.update(choices=list(annotation.__args__), exact=True)
    if not getattr(getattr(param.type_descriptor, "parameter_info", None), "clamp", False):
        described.update(bounds(getattr(param, "min", None), getattr(param, "max", None)))
    return described


def bounds(least, most):
    found = {"least": least, "most": most}
    return {name: value for name, value in found.items() if type(value) in (int, float)}
