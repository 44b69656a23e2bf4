"""The one list of fronts: programs that stand between the clients and a server, written `nginx/sync_wsgi@gthread:8`.

To add a front, add its entry. A front runs on the cores of the server behind it, so that a stack with one has no more
cores than a stack without, and its CPU time and memory are recorded apart from the server's.
"""

from dataclasses import dataclass
from string import Template

from bench.model.servers import BACKLOG, KEEP_ALIVE_S, Line

CONNECTIONS = 20_480
"""So many may be open in a front: two for each client. It takes 10 MB of an nginx."""
FILE = "front.conf"


@dataclass(frozen=True, kw_only=True)
class Front:
    """A program that takes the clients' connections and passes their requests on to a server.

    Its command is `program`, found on PATH, with `arguments`, where {folder} is a folder of its own that goes with it.
    There it finds `configuration` in FILE, with $folder, $host, the $port on which it listens and the port $behind of
    the server filled in. `version`: the argument that has it print its version. `accounts`: the users of whom it
    becomes the first that there is, where the lab runs as root. `variables`: as those of a server.

    In figures it makes the stack's colour lighter by `shade` and draws `line`.
    """

    name: str
    note: str
    program: str
    arguments: tuple[str, ...]
    configuration: Template
    version: str
    accounts: tuple[str, ...]
    variables: tuple[str, ...]
    shade: float
    line: Line

    def command(self, folder: object) -> list[str]:
        """Return the words that start it."""
        return [self.program, *(word.format(folder=folder) for word in self.arguments)]

    def configured(self, *, folder: object, host: str, port: object, behind: object) -> str:
        """Return its configuration, filled in."""
        return self.configuration.substitute(folder=folder, host=host, port=port, behind=behind)


# What nginx would do without a word is written out where it decides what a slow client costs: the size of each buffer.
# Not its defaults: no log, connections to the server that are kept, a queue and a keep-alive as other servers have, and
# no end of a connection after 1,000 requests. All that it writes lies in its folder.
NGINX = Template(f"""\
daemon off;
worker_processes 1;
pid $folder/pid;
error_log stderr error;
events {{ worker_connections {CONNECTIONS}; }}
http {{
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    keepalive_timeout {KEEP_ALIVE_S}s;
    keepalive_requests 1000000;
    client_max_body_size 1m;
    client_body_buffer_size 16k;
    map $$http_upgrade $$connection_upgrade {{
        default upgrade;
        '' '';
    }}
    upstream lab {{
        server $host:$behind;
        keepalive 512;
        keepalive_requests 1000000;
        keepalive_timeout {KEEP_ALIVE_S - 15}s;
    }}
    server {{
        listen $host:$port backlog={BACKLOG};
        location / {{
            proxy_pass http://lab;
            proxy_http_version 1.1;
            proxy_set_header Connection $$connection_upgrade;
            proxy_set_header Upgrade $$http_upgrade;
            proxy_set_header Host $$http_host;
            proxy_set_header X-Real-IP $$remote_addr;
            proxy_set_header X-Forwarded-For $$proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $$scheme;
            proxy_request_buffering on;
            proxy_buffering on;
            proxy_buffer_size 4k;
            proxy_buffers 8 4k;
            proxy_busy_buffers_size 8k;
            proxy_max_temp_file_size 1024m;
            proxy_temp_file_write_size 8k;
        }}
    }}
}}
""")
FRONTS = {
    front.name: front
    for front in (
        Front(
            name="nginx",
            note="takes in whole requests and whole answers, so that a slow client occupies no thread of the server",
            program="nginx",
            arguments=("-p", "{folder}", "-e", "stderr", "-c", f"{{folder}}/{FILE}"),
            configuration=NGINX,
            version="-v",
            accounts=("www-data", "nginx", "nobody"),
            variables=("NGINX",),
            shade=0.25,
            line="dash-dot",
        ),
    )
}
