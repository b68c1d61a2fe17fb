"""The methods of loggers that open scopes."""

from __future__ import annotations

from typing import Any

from bamboo_logmetrics.logger.scopes import RequestScope, RoundScope, SessionScope, ToolScope


class ScopeMethods:
    """The part of :class:`BoundLog` that opens scopes: ``with``, ``async with``, and decorators of functions.

    A scope emits through the logger that it was made with. It finds the session and the round around it by itself, in
    the same thread or task, in tasks created inside, and in functions that :func:`bamboo_logmetrics.carry` returned.
    """

    def session(self: Any, *, model: str, session_id: str | None = None, **bound: Any) -> SessionScope:
        """Return a scope for a conversation: SessionStarted at its beginning, SessionCompleted at its end.

        Args:
            model: the model used.
            session_id: the id; when left out that which the logger has bound, else a new one.
            bound: values to write beside the fields of its events.
        """
        return SessionScope(self, model, session_id, bound)

    def round(
        self: Any, *, model: str, round_id: str | None = None, session_id: str | None = None, **bound: Any
    ) -> RoundScope:
        """Return a scope for one model call: RoundStarted at its beginning, RoundCompleted at its end.

        Args:
            model: the model asked.
            round_id: the id; a new one when left out.
            session_id: the session; when left out the one around, else the one bound, else a new one.
            bound: values to write beside the fields of its events.
        """
        return RoundScope(self, model, round_id, session_id, bound)

    def tool(
        self: Any,
        name: str,
        *,
        tool_call_id: str | None = None,
        round_id: str | None = None,
        session_id: str | None = None,
        **bound: Any,
    ) -> ToolScope:
        """Return a scope for the call of a tool: ToolCalled at its end.

        Args:
            name: the tool's name.
            tool_call_id: the id, such as the provider's; a new one when left out.
            round_id: the round that asked for it; when left out the one around, else the last one of the session.
            session_id: the session; as for :meth:`round`.
            bound: values to write beside the fields of its event.
        """
        return ToolScope(self, name, tool_call_id, round_id, session_id, bound)

    def request(
        self: Any, *, endpoint: str, model: str, is_stream: bool = False, request_id: str | None = None, **bound: Any
    ) -> RequestScope:
        """Return a scope for one request to a provider: RequestStarted at its beginning, RequestCompleted at its end.

        Args:
            endpoint: such as ``openai.chat_completions``.
            model: the model asked.
            is_stream: True if the answer comes as a stream.
            request_id: the id; a new one when left out.
            bound: values to write beside the fields of its events.
        """
        return RequestScope(self, endpoint, model, is_stream, request_id, bound)
