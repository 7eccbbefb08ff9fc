"""The endpoint ``/_emulator/faults``: list, add and clear faults while the emulator runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import JSONResponse
from starlette.routing import Route

from semart_vectors.emulator.faults import KINDS, Fault

if TYPE_CHECKING:
    from starlette.requests import Request

    from semart_vectors.emulator.faults import Faults

FAULTS_PATH: Final = "/_emulator/faults"
_FORM = (
    'send {"fault": "503", "times": 3} or {"fault": "reset", "probability": 0.05};'
    ' add "operation" only to times, "headers" only to a status'
)


def fault_routes(faults: Faults) -> list[Route]:
    """Return the routes, without a key: ``GET`` lists the faults, ``POST`` adds one, ``DELETE`` clears."""

    async def answer(request: Request) -> JSONResponse:
        if request.method == "DELETE":
            faults.clear()
        elif request.method == "POST":
            try:
                _add(faults, orjson.loads(await request.body()))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                return JSONResponse({"error": f"{error}; {_FORM}"}, 400)
        return JSONResponse({**faults.listed(), "kinds": dict(KINDS)})

    return [Route(FAULTS_PATH, answer, methods=["GET", "POST", "DELETE"])]


def _add(faults: Faults, ordered: dict[str, Any]) -> None:
    meant = Fault.parse(str(ordered.pop("fault")))
    fault = Fault(meant.kind, meant.value, ordered.pop("headers", {}))
    if ordered.keys() == {"probability"}:
        faults.at_random(float(ordered["probability"]), fault)
    elif ordered.keys() in ({"times"}, {"times", "operation"}):
        faults.next(int(ordered["times"]), fault, operation=ordered.get("operation"))
    else:
        raise ValueError("either times or probability is needed, and nothing else")
