"""What learners might hand in: a file of the course, what in it becomes what, and, where it is wrong, what is said."""

from __future__ import annotations

from typing import NamedTuple


class Attempt(NamedTuple):
    """A change of a file of `labs`, or several; `said` is a part of what the check sees, empty where it is to pass."""

    file: str
    old: str
    new: str
    said: str = ""
    also: tuple[tuple[str, str], ...] = ()

    def made_of(self, text: str) -> str:
        for old, new in ((self.old, self.new), *self.also):
            assert old in text, old
            text = text.replace(old, new)
        return text


AWAITED, SLEPT = "await asyncio.sleep(ms / 1000)", "time.sleep(ms / 1000)"
VIEW = "(request: HttpRequest) -> HttpResponse:\n"
HANG = "__import__('time').sleep(600)"
GATHERED = "await asyncio.gather(*(ask_upstream_async(client, ms) for _ in range(n)))"
POOLED = """    with ThreadPoolExecutor(max_workers=n) as pool:
        waited = list(pool.map(ask_upstream, [ms] * n))
"""
TOOK, TOOK_OLD = "class Took(MiddlewareMixin):", "class Old(MiddlewareMixin):"
TOOK_AS_FUNCTION = f"""from django.utils import decorators as utils


@utils.{{decorator}}
def Took(get_response):
    async def middleware(request):
        began_s = time.monotonic()
        response = await get_response(request)
        response.headers["X-Took-Ms"] = str(round(1000 * (time.monotonic() - began_s)))
        return response

    return middleware


{TOOK_OLD}"""
QUEUE = """import asyncio

from asgiref.sync import sync_to_async
from django.db import connections
from django.utils.decorators import async_only_middleware

MIDDLEWARE = [f"{__name__}.queue"]


@async_only_middleware
def queue(get_response):
    seats = asyncio.Semaphore(4)

    async def middleware(request):
        async with seats:
            response = await get_response(request)
            await sync_to_async(connections.close_all)()
        return response

    return middleware


DATABASES ="""
ANOTHER_ANSWER = "await get_response(request)", "__import__('django.http').http.HttpResponse('fine')"

ASKED_AS_ONE = """    asked = slow(Product.objects.filter(pk__in=range(1, n + 1)).order_by("pk"), ms)
    return answer(names=[product.name async for product in asked])
"""
ASK = """
    def ask(pk):
        try:
            return slow(Product.objects.filter(pk=pk), ms).get().name
        finally:
            __import__("django.db").db.connection.close()

    every = range(1, n + 1)
"""
POOL_OF = "__import__('concurrent.futures').futures.ThreadPoolExecutor"
ASKED_IN_THREADS = f"""{ASK}
    ask_it = __import__("asgiref.sync").sync.sync_to_async(ask, thread_sensitive=False)
    return answer(names=await asyncio.gather(*map(ask_it, every)))
"""
ASKED_IN_TWO = f"""{ASK}
    loop, pool = asyncio.get_running_loop(), {POOL_OF}(2)
    return answer(names=await asyncio.gather(*(loop.run_in_executor(pool, ask, pk) for pk in every)))
"""
ASKED_ON_THE_LOOP = f"{ASK}\n    return answer(names=list({POOL_OF}(n).map(ask, every)))\n"
ASKED_AND_FORGOTTEN = ASKED_ON_THE_LOOP.replace('__import__("django.db").db.connection.close()', "pass")
NAMES_TYPED_IN = "    return answer(names=[f'product {pk}' for pk in range(1, n + 1)])\n"
SET_AGAIN = "VISITOR.set(request.visitor_before)"
WITHOUT_HOPS = """class VisitorMiddleware(MiddlewareMixin):
    async def __acall__(self, request):
        token = VISITOR.set(request.GET.get("name", "nobody"))
        try:
            return await self.get_response(request)
        finally:
            VISITOR.reset(token)


class Old(MiddlewareMixin):"""
VARIABLE = 'VISITOR = ContextVar("VISITOR", default="nobody")'
GLOBAL = """class Variable:
    value = "nobody"

    def get(self):
        return self.value

    def set(self, value):
        self.value = value


VISITOR = Variable()"""
NO_AGE = 'DATABASES = {"default": {**database(), "CONN_MAX_AGE": 0}}'
CLOSED_BY_A_SIGNAL = """from django.core import signals
from django.db import connections

DATABASES = {"default": {**database(), "CONN_MAX_AGE": 600}}
signals.request_finished.connect(lambda **more: connections.close_all(), weak=False)"""
POOL_OF_CONNECTIONS = """DATABASES = {"default": database()}
if "postgresql" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["OPTIONS"] = {"pool": True}"""

RIGHT = {
    "a view of its own thread": Attempt("exercises/blocking_view", "async def wait", "def wait"),
    "a thread for the call that blocks": Attempt(
        "solutions/blocking_view", AWAITED, "await asyncio.to_thread(__import__('time').sleep, ms / 1000)"
    ),
    "a middleware that is a function": Attempt(
        "solutions/middleware_hops",
        TOOK,
        TOOK_AS_FUNCTION.format(decorator="async_only_middleware"),
    ),
    "threads on both sides": Attempt(
        "solutions/overlapping_calls", "ask_upstream_async(client, ms) for", "asyncio.to_thread(ask_upstream, ms) for"
    ),
    "a loop on both sides": Attempt(
        "solutions/overlapping_calls",
        POOLED,
        """    from asgiref.sync import async_to_sync

    async def every():
        async with async_client(request) as client:
            return await asyncio.gather(*(ask_upstream_async(client, ms) for _ in range(n)))

    waited = async_to_sync(every)()
""",
    ),
    "a queue before the view": Attempt("exercises/bounded_connections", "DATABASES =", QUEUE),
    "a pool by its defaults": Attempt("solutions/bounded_connections", '{"min_size": 1, "max_size": 4}', "True"),
    "another formula": Attempt(
        "solutions/plateau",
        "return min(inside / (wait_s + cpu_s), 1 / cpu_s)",
        "return 1 / max((wait_s + cpu_s) / users, (wait_s + cpu_s) / (threads or 10**9), cpu_s)",
    ),
    "an async iterator of a sync view": Attempt("solutions/stream", "async def count", "def count"),
    "a wait between the parts only": Attempt("solutions/stream", AWAITED, f"if made < n - 1:\n            {AWAITED}"),
    "a report on the loop": Attempt(
        "solutions/traps",
        f"def report{VIEW}    return answer(products=async_to_sync(count_products)())",
        f"async def report{VIEW}    return answer(products=await count_products())",
    ),
    "views of their own threads": Attempt(
        "solutions/traps",
        f"async def products{VIEW}    return answer(products=await Product.objects.acount())",
        f"def products{VIEW}    return answer(products=Product.objects.count())",
    ),
    "queries in threads, a middleware without hops, a pool of connections": Attempt(
        "solutions/traps",
        ASKED_AS_ONE,
        ASKED_IN_THREADS,
        also=(("class VisitorMiddleware(MiddlewareMixin):", WITHOUT_HOPS), (NO_AGE, POOL_OF_CONNECTIONS)),
    ),
    "threads that forget their connections, and a signal that closes those of requests": Attempt(
        "solutions/traps",
        ASKED_AS_ONE,
        ASKED_AND_FORGOTTEN,
        also=(("async def basket", "def basket"), (NO_AGE, CLOSED_BY_A_SIGNAL)),
    ),
}  # fmt: skip
WRONG = {
    "a syntax error": Attempt(
        "exercises/blocking_view", SLEPT, "time.sleep(ms / 1000", "SyntaxError in line 21"
    ),
    "a missing module": Attempt(
        "exercises/blocking_view", "import time", "import tiem", "ModuleNotFoundError in line 11"
    ),
    "a file that ends its process": Attempt(
        "exercises/blocking_view", "urlpatterns", "raise SystemExit\nurlpatterns", "SystemExit in line 25"
    ),
    "a hang while it is imported": Attempt("exercises/stream", "urlpatterns", f"{HANG}\nurlpatterns", "still busy"),
    "a loop without an end": Attempt(
        "solutions/blocking_view", AWAITED, f"\n    {HANG}", "had no answer within"
    ),
    "a view that ends its process": Attempt(
        "solutions/blocking_view", AWAITED, "__import__('os')._exit(7)", "The server broke off"
    ),
    "a wait that is never awaited": Attempt(
        "solutions/blocking_view", AWAITED, "asyncio.sleep(ms)", "has the answer after"
    ),
    "an await that is beside the point": Attempt(
        "solutions/blocking_view",
        AWAITED,
        "await asyncio.sleep(0.01); __import__('time').sleep(ms / 1000)",
        "5 visitors who wait 300 ms",
    ),
    "a wait that is the same for all": Attempt(
        "solutions/blocking_view", AWAITED, "await asyncio.sleep(0.06)", "one has the answer after"
    ),
    "a wait in turns": Attempt(
        "solutions/blocking_view",
        f"async def wait{VIEW}",
        f"SEATS = asyncio.Semaphore(2)\n\n\nasync def wait{VIEW}  async with SEATS:\n",
        "5 visitors who wait 300 ms",
    ),
    "an answer of another kind": Attempt(
        "solutions/blocking_view", "answer(waited_ms=ms)", "HttpResponse('ok')", "The view answers ok instead of"
    ),
    "no answer": Attempt(
        "solutions/blocking_view", "return answer(waited_ms=ms)", "pass", "answers 500 because of `ValueError`"
    ),
    "an error in a view": Attempt(
        "solutions/blocking_view", AWAITED, "await_nobody()", "because of `NameError` in line 17: name 'await_nobody'"
    ),
    "a middleware that is gone": Attempt(
        "exercises/middleware_hops", "class Took", "class Gone", 'not define a "Took"'
    ),
    "a middleware that does nothing": Attempt(
        "solutions/middleware_hops",
        "return self.process_response(request, response)",
        "return response",
        "Behind ASGI the answer to a request has no header X-Took-Ms",
    ),
    "a middleware that is broken behind WSGI": Attempt(
        "solutions/middleware_hops",
        TOOK,
        TOOK_AS_FUNCTION.format(
            decorator="sync_and_async_middleware"
        ),
        "behind WSGI",
    ),
    "a middleware that raises": Attempt(
        "solutions/middleware_hops", "request.began_s = ", "request.began = ", "AttributeError in line 21 behind ASGI"
    ),
    "a middleware that does nothing behind WSGI": Attempt(
        "solutions/middleware_hops",
        TOOK,
        f"{TOOK}\n    def __call__(self, request):\n"
        "        return super().__call__(request) if self.async_mode else self.get_response(request)\n",
        "Behind WSGI the answer to a request has no header X-Took-Ms",
    ),
    "a header that is always the same": Attempt(
        "solutions/middleware_hops", "str(round(1000 * took_s))", '"300"', "says 300 of a request that took"
    ),
    "a header that tells of somebody else": Attempt(
        "solutions/middleware_hops", "request.began_s", "self.began_s", "of a request that waits 300 ms"
    ),
    "a middleware for one page": Attempt(
        "solutions/middleware_hops",
        "took_s = time.monotonic() - request.began_s",
        "if request.path != '/':\n            return response\n        took_s = time.monotonic() - request.began_s",
        "the answer to the page /ready has no header",
    ),
    "one call instead of five": Attempt(
        "solutions/overlapping_calls", "(ask_upstream, [ms] * n)", "(lambda ms: ms, [ms] * n)", "at most 0 of 0 calls"
    ),
    "each call made twice": Attempt(
        "solutions/overlapping_calls", GATHERED, f"({GATHERED.replace('range(n)', 'range(2 * n)')})[:n]", "of 10 calls"
    ),
    "calls that overlap by two": Attempt(
        "solutions/overlapping_calls", "max_workers=n", "max_workers=2", "sync: at most 2 of 5 calls at once"
    ),
    "calls that overlap and hold up the loop": Attempt(
        "solutions/overlapping_calls",
        GATHERED,
        "list(ThreadPoolExecutor(n).map(ask_upstream, [ms] * n))",
        "no other page is answered",
    ),
    "a pool that gives up too soon": Attempt(
        "solutions/bounded_connections", '"max_size": 4', '"max_size": 4, "timeout": 0.1', "OperationalError"
    ),
    "settings that contradict each other": Attempt(
        "solutions/bounded_connections", '"OPTIONS"', '"CONN_MAX_AGE": 60, "OPTIONS"', "ImproperlyConfigured"
    ),
    "a door that answers in the view's place": Attempt(
        "exercises/bounded_connections", "DATABASES =", QUEUE.replace(*ANOTHER_ANSWER), "answers something else"
    ),
    "a function that raises": Attempt(
        "solutions/plateau", "return min(inside", "return 1 / 0, min(inside", "ZeroDivision"
    ),
    "a function that ends its process": Attempt(
        "solutions/plateau", "return", "__import__('os')._exit(7)\n    return", "status 7"
    ),
    "a function that never ends": Attempt(
        "solutions/plateau", "return", f"{HANG}\n    return", "`plateau_per_s` was still busy"
    ),
    "a function that gives no number": Attempt("solutions/plateau", "return min(", "min(", "you say None"),
    "the points of the run by heart": Attempt(
        "solutions/plateau", "return min(", "return None if users == 16 else min(", "Right for 29 of 29 points"
    ),
    "a ceiling that is a little off": Attempt(
        "solutions/plateau", "return min(", "return 1.05 * min(", "Right for 0 of 29 points"
    ),
    "a ceiling without the core": Attempt(
        "solutions/plateau", ", 1 / cpu_s)", ", 10**9)", "the most there can be are"
    ),
    "a wait that blocks a stream": Attempt(
        "solutions/stream",
        AWAITED,
        "__import__('time').sleep(ms / 1000)",
        "another page is not answered before all are made",
    ),
    "a stream that does not wait": Attempt("solutions/stream", AWAITED, "pass", "numbers, one each 100 ms, are there"),
    "a stream without an end": Attempt(
        "solutions/stream", "range(n)", "__import__('itertools').count()", "had no end within"
    ),
    "traps that are silenced": Attempt(
        "exercises/traps",
        "import asyncio\n",
        "import asyncio\nimport os\n\nos.environ['DJANGO_ALLOW_ASYNC_UNSAFE'] = '1'\n",
        "with 1 of its queries on the loop",
    ),
    "an answer that is typed in": Attempt(
        "solutions/traps", "products=await Product.objects.acount()", "products=100", "with 0 queries"
    ),
    "a name that is typed in": Attempt(
        "solutions/traps", "name=user.get_username()", "name='ada'", "me: answers '{\"name\": \"ada\"}'"
    ),
    "cures that cure half": Attempt(
        "solutions/traps",
        ASKED_AS_ONE,
        ASKED_IN_TWO,
        "4 × 150 ms in the database, at most 2 at once; "
        "VisitorMiddleware: /greeting: answers 200 and leaves VISITOR changed; "
        "DATABASES: 5 visits to /sign_in leave 5 connections open",
        ((SET_AGAIN, "pass"), ('"CONN_MAX_AGE": 0', '"CONN_MAX_AGE": 1')),
    ),
    "names that are typed in, and kept for all": Attempt(
        "solutions/traps",
        ASKED_AS_ONE,
        NAMES_TYPED_IN,
        "basket: answers 200, with 0 queries of the database; "
        "VisitorMiddleware: /greeting: answers '{\"hello\": \"Ada\"}' to nobody",
        ((VARIABLE, GLOBAL),),
    ),
    "queries that overlap and hold up the loop, and a greeting that does not wait": Attempt(
        "solutions/traps",
        ASKED_AS_ONE,
        ASKED_ON_THE_LOOP,
        "at most 4 at once, and no other page is answered meanwhile; "
        "VisitorMiddleware: /greeting: does not wait the 400 ms",
        (("asyncio.sleep(number(request, \"ms\") / 1000)", "asyncio.sleep(0)"),),
    ),
    "settings without a database": Attempt(
        "solutions/traps", NO_AGE, "DATABASES = {}", "/sign_in answers 500 because of `ImproperlyConfigured`"
    ),
    "queries without their wait": Attempt(
        "solutions/traps", 'order_by("pk"), ms)', 'order_by("pk"), 0 * ms)', "which take it"
    ),
    "views that never answer": Attempt(
        "solutions/traps",
        ASKED_AS_ONE,
        "    await asyncio.sleep(600)\n",
        "basket: no answer within 1.5 s; VisitorMiddleware: /greeting: no answer within 1.5 s",
        (("asyncio.sleep(number(request, \"ms\") / 1000)", "asyncio.sleep(600)"),),
    ),
}  # fmt: skip
