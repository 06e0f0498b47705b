"""A browser's tab without the browser: over its WebSocket it sends and reads what Streamlit's own page does.

It keeps the page's elements, the values of widgets that were changed, the address, the cache of large messages, and the
timers of fragments that run again and again. It draws nothing, and leaves out defaults that the page would send back.
"""

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import connect

T = TypeVar("T")
# The field of a widget's state that holds the value of such an element or block.
FIELDS = {"text_input": "string_value", "text_area": "string_value", "selectbox": "string_value",
          "radio": "string_value", "dataframe": "string_value", "tab_container": "string_value",
          "checkbox": "bool_value", "expandable": "bool_value", "multiselect": "string_array_value",
          "button_group": "string_array_value", "pagination": "int_value"}
ENDED, ENDED_FRAGMENT = ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
# Streamlit's page forgets a large message that no script of so many has used.
KEPT = 2


def alone(work: Coroutine[Any, Any, T]) -> T:
    """The result of what visitors do, also where the tests' browser runs a loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class Tab:
    """One visitor. What runs asks for a script and returns the seconds until all of its result was received.

    ``errors`` are what a person would see as one, ``refreshed`` the seconds of each run that a fragment's timer asked
    for. ``timeout`` is how long a script may take. ``reloads`` counts pages that stayed half drawn, and were asked for
    again: where a fragment's timer rings just when a script ends, a busy Streamlit server drops the script's end.
    """

    def __init__(self, address: str, path: str = "", query: str = "", timeout: float = 60):
        self.address, self.path, self.query, self.timeout = address, path, query, timeout
        self.page = ""
        self.elements: dict[tuple[int, ...], tuple[str, object]] = {}
        self.errors: list[str] = []
        self.refreshed: list[float] = []
        self.reloads = 0
        self._values: dict[str, WidgetState] = {}
        self._cache: dict[str, tuple[int, ForwardMsg]] = {}
        self._scripts = 0
        self._timers: dict[str, asyncio.Task] = {}
        self._asked: dict[str, float] = {}
        self._done: asyncio.Future | None = None

    async def __aenter__(self) -> "Tab":
        self._socket = await connect(f"{self.address.replace('http', 'ws', 1)}/_stcore/stream", max_size=None,
                                     origin=self.address, subprotocols=["streamlit"], open_timeout=self.timeout)
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_error) -> None:
        self._stop_timers()
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader
        await self._socket.close()

    async def visit(self) -> float:
        """The first script, of the page at ``path``."""
        return await self._run()

    async def follow(self, label: str, **parameters) -> float:
        """Click the first link to a page that has this label, or open its address with more parameters."""
        target = next((shown for _kind, shown in self._shown("page_link") if shown.label == label), None)
        if target is None:
            raise LookupError(f"no link {label!r} on {self.path or self.page}?{self.query}")
        self.page, self.query = target.page_script_hash, target.query_string
        self._address(parameters)
        self._stop_timers()
        self._values.clear()
        return await self._run()

    async def press(self, label: str) -> float:
        """Click the button that has this label."""
        if label not in self.buttons():
            raise LookupError(f"no button {label!r} among {self.buttons()}")
        button = next(shown for _kind, shown in self._shown("button") if shown.label == label and not shown.disabled)
        return await self._run(WidgetState(id=button.id, trigger_value=True))

    async def set(self, name: str, value) -> float:
        """Give the widget that has this key or label another value."""
        self.fill(name, value)
        return await self._run()

    def fill(self, name: str, value) -> None:
        """The same in a form, where nothing runs before its button is pressed."""
        kind, shown = self._widget(name)
        state = self._values[shown.id] = WidgetState(id=shown.id)
        if FIELDS[kind] == "string_array_value":
            state.string_array_value.data.extend(value)
        elif value is not None:
            setattr(state, FIELDS[kind], value)
        if getattr(shown, "query_param_key", ""):
            self._address({shown.query_param_key: value})

    def widget(self, name: str):
        """The first widget of the page that has this key or label.

        Raises:
            LookupError: the page has none.
        """
        return self._widget(name)[1]

    def shown(self, kind: str) -> list:
        """All elements of one kind."""
        return [found for _kind, found in self._shown(kind)]

    def buttons(self) -> list[str]:
        """Labels of the buttons that can be pressed."""
        return [found.label for found in self.shown("button") if not found.disabled]

    def parameter(self, name: str) -> str | None:
        """A value of the address."""
        return parse_qs(self.query).get(name, [None])[0]

    def _shown(self, *kinds: str):
        return [found for found in self.elements.values() if found[0] in kinds]

    def _widget(self, name: str) -> tuple[str, object]:
        for kind, found in self._shown(*FIELDS):
            if key_of(found) == name or getattr(found, "label", "") == name:
                return kind, found
        raise LookupError(f"no widget {name!r} on {self.path or self.page}?{self.query}")

    def _address(self, changes: dict) -> None:
        self.query = urlencode({name: values for name, values in (parse_qs(self.query) | changes).items()
                                if values not in ("", [], None, False)}, doseq=True)

    async def _run(self, *triggers: WidgetState) -> float:
        if self._reader.done():
            await self._reader
            raise ConnectionError("the server closed the connection")
        self._done = asyncio.get_running_loop().create_future()
        self._started = started = time.perf_counter()
        await self._send(triggers=triggers)
        ended = await asyncio.wait({self._done, self._reader}, timeout=self.timeout,
                                   return_when=asyncio.FIRST_COMPLETED)
        if not self._done.done():
            raise ConnectionError("the server closed the connection" if ended[0] else
                                  f"a script of {self.path or self.page} did not end in {self.timeout:.0f} s")
        return time.perf_counter() - started

    async def _send(self, fragment: str = "", triggers: tuple[WidgetState, ...] = ()) -> None:
        message = BackMsg()
        script = message.rerun_script
        script.query_string, script.fragment_id, script.is_auto_rerun = self.query, fragment, bool(fragment)
        script.page_script_hash, script.page_name = self.page, "" if self.page else self.path
        script.widget_states.widgets.extend([*self._values.values(), *triggers])
        script.cached_message_hashes.extend(self._cache)
        script.context_info.timezone, script.context_info.locale = "UTC", "en-US"
        script.context_info.url = f"{self.address}/{self.path}"
        await self._socket.send(message.SerializeToString())

    async def _read(self) -> None:
        async for data in self._socket:
            message = ForwardMsg.FromString(data)
            if message.WhichOneof("type") == "ref_hash":
                _used, kept = self._cache[message.ref_hash]
                self._cache[message.ref_hash] = self._scripts, kept
                kept.metadata.CopyFrom(message.metadata)
                message = kept
            elif message.metadata.cacheable:
                self._cache[message.hash] = self._scripts, message
            if message.WhichOneof("type") == "script_finished":
                await self._finished(message)
            else:
                take = getattr(self, f"_on_{message.WhichOneof('type')}", None)
                if take:
                    take(message)

    def _on_new_session(self, message: ForwardMsg) -> None:
        if message.metadata.run.fragment_ids:
            return
        self._stop_timers()
        self.elements = {}

    def _on_navigation(self, message: ForwardMsg) -> None:
        self.page = message.navigation.page_script_hash

    def _on_delta(self, message: ForwardMsg) -> None:
        path, delta = tuple(message.metadata.delta_path), message.delta
        if delta.WhichOneof("type") == "new_element":
            kind = delta.new_element.WhichOneof("type")
            shown = getattr(delta.new_element, kind)
        elif delta.WhichOneof("type") == "add_block":
            kind = delta.add_block.WhichOneof("type") or ""
            shown = delta.add_block
        else:
            return
        self.elements[path] = kind, shown
        if kind == "exception" or (kind == "alert" and shown.format == shown.ERROR):
            self.errors.append(getattr(shown, "message", "") or shown.body)
        if getattr(shown, "set_value", False) and self._values.pop(shown.id, None) is not None:
            self._address({getattr(shown, "query_param_key", ""): None})

    def _on_page_info_changed(self, message: ForwardMsg) -> None:
        self.query = message.page_info_changed.query_string

    def _on_page_not_found(self, message: ForwardMsg) -> None:
        self.errors.append(f"no page {message.page_not_found.page_name}")

    def _on_session_event(self, message: ForwardMsg) -> None:
        if message.session_event.WhichOneof("type") == "script_compilation_exception":
            self.errors.append(message.session_event.script_compilation_exception.message)

    def _on_auto_rerun(self, message: ForwardMsg) -> None:
        fragment = message.auto_rerun.fragment_id
        if fragment not in self._timers:
            self._timers[fragment] = asyncio.create_task(self._repeat(fragment, message.auto_rerun.interval))

    def _on_stop_auto_rerun(self, message: ForwardMsg) -> None:
        for fragment in message.stop_auto_rerun.fragment_ids:
            if fragment in self._timers:
                self._timers.pop(fragment).cancel()

    async def _finished(self, message: ForwardMsg) -> None:
        waiting = self._done is not None and not self._done.done()
        if message.script_finished == ENDED_FRAGMENT:
            asked = [self._asked.pop(name) for name in message.metadata.run.fragment_ids if name in self._asked]
            self.refreshed += [time.perf_counter() - moment for moment in asked]
            if waiting and any(moment > self._started for moment in asked):
                self.reloads += 1
                self._started = time.perf_counter()
                await self._send()
        elif message.script_finished == ENDED and not message.metadata.run.fragment_ids:
            self._scripts += 1
            here = {getattr(shown, "id", "") for _kind, shown in self.elements.values()}
            self._values = {name: state for name, state in self._values.items() if name in here}
            self._cache = {hashed: kept for hashed, kept in self._cache.items() if self._scripts - kept[0] <= KEPT}
            if waiting:
                self._done.set_result(None)

    async def _repeat(self, fragment: str, interval: float) -> None:
        started = time.perf_counter()
        for number in count(1):
            await asyncio.sleep(started + number * interval - time.perf_counter())
            self._asked.setdefault(fragment, time.perf_counter())
            await self._send(fragment)

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._asked.clear()


def key_of(widget) -> str:
    """A widget's key: the end of its id, after a hash."""
    return widget.id.split("-", 2)[-1]
