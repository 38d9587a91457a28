"""Which services a person, room or device does, set from its side."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from models.booking import retirement, services
from models.booking.hours import Impossible
from models.booking.resources import Resource
from models.booking.services import Service, ServiceResource


def set_services(session: Session, resource: Resource, service_ids: Collection[str]) -> None:
    """Let a person, room or device do these services and no others.

    Raises Impossible for an unknown service, and if one would be left without any of this kind. Services that
    are retired keep those who did them.
    """
    org_id = resource.org_id
    wanted = set(service_ids)
    # One statement in the order of the ids, as retiring locks them: two people at once do not leave a service
    # with nobody, nor wait for each other.
    query = (
        select(Service)
        .where(Service.org_id == org_id, Service.retired_at.is_(None))
        .order_by(Service.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    every = {each.id: each for each in session.scalars(query)}
    if unknown := sorted(wanted - every.keys()):
        raise Impossible(f"there is no service {unknown[0]}")
    before = {each.id for each in services.done_by(session, org_id, resource.id)}
    for service_id in sorted(before - wanted):
        retirement.assert_not_the_only_one(session, resource, every[service_id])
    session.execute(
        delete(ServiceResource).where(
            ServiceResource.org_id == org_id,
            ServiceResource.resource_id == resource.id,
            ServiceResource.service_id.in_(before - wanted),
        )
    )
    session.add_all(
        ServiceResource(org_id=org_id, service_id=each, resource_id=resource.id)
        for each in sorted(wanted - before)
    )
    session.flush()
