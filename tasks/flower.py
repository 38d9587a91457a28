"""The Celery app as Flower runs it (`celery -A tasks.flower flower`), and what is mended in Flower 2.2."""

from __future__ import annotations

from flower.app import Flower
from flower.inspector import Inspector
from flower.views.monitor import Metrics
from kombu.utils.url import maybe_sanitize_url
from tornado.web import authenticated

from tasks.app import app

__all__ = ["app"]

# Flower asks for its password on every page but this one, which names each task and worker.
Metrics.get = authenticated(Metrics.get)

# It takes the name of the transport for the scheme of the broker's address, knows no `thrifty_redis`, and
# then has no page of the queues.
Flower.broker_uri_with_password = property(lambda _: app.conf.broker_url)
Flower.broker_uri = property(lambda _: maybe_sanitize_url(app.conf.broker_url))

# It listens to events, switches them on, and asks the workers four questions at once, each on a connection
# of its own. With Celery's pool of two it would find most of them in use; and small plans allow 20 in all.
app.conf.broker_pool_limit = 4
Inspector.max_concurrency = 1
