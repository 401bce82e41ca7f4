"""What a registration form and a checkout may send: the shapes, checked before anything is accepted."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProfileForm(_Form):
    """``POST /profiles``: who registered, which lists, and to what they said yes."""

    profile: dict[str, Any] = Field(description="Attributes by Klaviyo's names; location and properties are objects")
    lists: list[str] = Field([], max_length=10, description="Ids of the lists to add the profile to")
    consent: list[Literal["email", "sms", "sms_transactional"]] = Field(
        [], description="Channels the person has just consented to"
    )
    source: str = Field("", max_length=255, description="Where the consent was given; Klaviyo shows it")


class EventForm(_Form):
    """``POST /events``: what happened, to whom, for how much."""

    metric: str = Field(description="Name of the metric, such as Placed Order; Klaviyo is case-sensitive")
    profile: dict[str, Any] = Field(description="Who: at least one of email, phone_number, external_id")
    time: str | None = Field(None, description="ISO 8601 with offset; default: now")
    value: float | int | str | None = Field(None, description="Amount; a text keeps its decimals exact")
    currency: str | None = Field(None, description="ISO 4217 code")
    order_id: str | None = Field(None, description="Makes the event's unique id: sending it twice changes nothing")
    unique_id: str | None = Field(None, description="Own unique id, instead of one made of metric and order_id")
    items: list[dict[str, Any]] | None = Field(None, description="Line items")
    properties: dict[str, Any] | None = Field(None, description="Anything else about the event")


def faults_of(error: ValidationError) -> list[dict[str, str]]:
    """Return what is wrong with a form, without the values in it."""
    return [
        {
            "field": ".".join(str(part) for part in fault["loc"]),
            "code": fault["type"].replace("_", "-"),
            "message": fault["msg"],
            "hint": "See /openapi.json.",
        }
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def openapi(version: str) -> dict[str, Any]:
    """Return the OpenAPI document of the server."""
    faults = {
        "type": "object",
        "properties": {
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {name: {"type": "string"} for name in ("field", "code", "message", "hint")},
                },
            }
        },
    }

    def post(form: type[BaseModel], summary: str, done: str) -> dict[str, Any]:
        schema = form.model_json_schema(ref_template="#/components/schemas/{model}")
        problem = {"content": {"application/json": {"schema": faults}}}
        return {
            "post": {
                "summary": summary,
                "security": [{"token": []}],
                "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
                "responses": {
                    "200": {"description": done},
                    "202": {"description": "Accepted and on the disk; Klaviyo does not answer now"},
                    "400": {"description": "The body is not JSON, or ended early", **problem},
                    "401": {"description": "The token is missing or wrong", **problem},
                    "408": {"description": "The body came too slowly", **problem},
                    "413": {"description": "The body is too large", **problem},
                    "422": {"description": "A field is not valid", **problem},
                    "503": {"description": "It could not be stored: send it again", **problem},
                },
            }
        }

    return {
        "openapi": "3.1.0",
        "info": {"title": "klaviyo-etl serve", "version": version},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": {
            "/profiles": post(ProfileForm, "Register a person", "Klaviyo has the profile; its id"),
            "/events": post(EventForm, "Track an event", "Klaviyo has accepted the event"),
            "/webhooks/klaviyo": {
                "post": {
                    "summary": "Receive a signed delivery of Klaviyo",
                    "responses": {
                        "200": {"description": "On the disk, by this delivery or an earlier one"},
                        "400": {"description": "Genuine, but no delivery as documented"},
                        "401": {"description": "The signature is not Klaviyo's"},
                        "408": {"description": "The body came too slowly"},
                        "413": {"description": "The body is too large"},
                        "503": {"description": "It could not be stored: send it again"},
                    },
                }
            },
            "/healthz": {
                "get": {
                    "summary": "Whether the server works",
                    "responses": {"200": {"description": "ok"}, "503": {"description": "A part cannot work, and why"}},
                }
            },
            "/metrics": {"get": {"summary": "Counters", "responses": {"200": {"description": "Prometheus text"}}}},
        },
    }
