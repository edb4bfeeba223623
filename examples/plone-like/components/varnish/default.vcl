vcl 4.1;
# {{ batou_generated_header }}

backend default {
    .host = "{{ haproxy.connect.host }}";
    .port = "{{ haproxy.connect.port }}";
}

acl purgers {
{%- for zope in zopes %}
    "{{ zope.address.connect.host }}";  # {{ zope.name }}
{%- endfor %}
}

sub vcl_recv {
    if (req.method == "PURGE") {
        if (client.ip !~ purgers) {
            return (synth(405));
        }
        return (purge);
    }
}
