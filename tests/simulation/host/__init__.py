"""A local function host: runs a Functions app on this machine, against Azurite, with the real platform's behaviour.

Indexing, binding conversion and invocation are Microsoft's own code (the `azure-functions-runtime` package, which is
the platform's Python worker). What the platform's .NET host does around it is written here: pumping timers, queues and
HTTP, settling messages, expanding `%SETTING%`, leases, keys, time-outs. A development tool: never deployed.
"""

from tests.simulation.host.failures import HostNotStartedError
from tests.simulation.host.function_host import FunctionHost
from tests.simulation.host.functions import Function
from tests.simulation.host.runtime import InvocationResult

__all__ = ["Function", "FunctionHost", "HostNotStartedError", "InvocationResult"]
