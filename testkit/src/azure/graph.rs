//! Microsoft Graph: groups, applications, service principals and delegated grants, to be read only.

use http::Method;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::ask::{Answer, Ask};
use super::directory::{guid, is_guid};
use super::keys::Unverified;
use super::objects::{Collection, collection};
use super::token::{self, Invalid};
use super::world::World;
use super::{Service, odata};

/// How many objects a page has where nothing is said, and at most.
const PAGE: usize = 100;
const PAGE_MOST: usize = 999;

pub(super) fn answer(world: &World, ask: &Ask<'_>) -> Result<Answer, Answer> {
    let claims = authenticate(world, ask)?;
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    let (segment, id) = match path[..] {
        ["v1.0", segment] => (segment, None),
        ["v1.0", segment, id] => (segment, Some(id)),
        _ => return Err(nowhere(ask)),
    };
    let (name, key) =
        odata::segment(segment).map_err(|error| refuse(ask, 400, "BadRequest", &error).violating(error))?;
    let tenant = claims["tid"].as_str().unwrap_or_default();
    let collection = collection(&world.directory, tenant, name).ok_or_else(|| nowhere(ask))?;
    if ask.method != Method::GET {
        let text = format!("{} of what is only read", ask.method);
        return Err(refuse(ask, 405, "Request_BadRequest", &text).violating(text));
    }
    let granted = |role: &&str| claims["roles"].as_array().is_some_and(|roles| roles.iter().any(|has| has == role));
    if !collection.roles.iter().any(granted) {
        let text = "Insufficient privileges to complete the operation.";
        return Err(refuse(ask, 403, "Authorization_RequestDenied", text));
    }
    let context = format!("{}/v1.0/$metadata#{name}", world.urls[&Service::Graph]);
    match (id, key) {
        (None, None) => list(world, ask, &collection, &context),
        (Some(id), None) => {
            // Where a GUID is expected, another word is a mistake, but one that a user's setting may hold.
            if !is_guid(id) && collection.kind != "oAuth2PermissionGrant" {
                return Err(refuse(ask, 400, "Request_BadRequest", &format!("Invalid object identifier '{id}'.")));
            }
            one(ask, &collection, &context, "id", id)
        }
        (None, Some(("appId", id))) if ["application", "servicePrincipal"].contains(&collection.kind) => {
            one(ask, &collection, &context, "appId", &id)
        }
        _ => Err(nowhere(ask)),
    }
}

/// The claims of the token.
fn authenticate(world: &World, ask: &Ask<'_>) -> Result<Value, Answer> {
    let unauthorized = |text: &str| {
        let refusal = refuse(ask, 401, "InvalidAuthenticationToken", text);
        let challenge = format!(
            "Bearer realm=\"\", authorization_uri=\"{}/common/oauth2/authorize\", client_id=\"{}\"",
            world.urls[&Service::Entra],
            super::GRAPH
        );
        refusal.with("www-authenticate", challenge)
    };
    let token = match ask.bearer() {
        Ok(Some(token)) => token,
        Ok(None) => return Err(unauthorized("Access token is empty.").violating("no token")),
        Err(error) => return Err(unauthorized("Access token is empty.").violating(error)),
    };
    token::demand(world, token, Service::Graph, None).map_err(|invalid| {
        let mut refusal = unauthorized(match &invalid {
            Invalid::Unverified(Unverified::Malformed) => "IDX14100: JWT is not well formed.",
            Invalid::Unverified(_) => "Access token validation failure. Invalid signature.",
            Invalid::Audience(_) => "Access token validation failure. Invalid audience.",
            Invalid::Issuer(_) => "Access token validation failure. Invalid issuer.",
            Invalid::Expired => "Lifetime validation failed, the token is expired.",
            Invalid::Early => "Lifetime validation failed, the token is not yet valid.",
        });
        refusal.violation = invalid.violation();
        refusal
    })
}

/// One object, by a property that only it has.
fn one(ask: &Ask<'_>, of: &Collection, context: &str, property: &str, value: &str) -> Result<Answer, Answer> {
    options(ask, &["$select"])?;
    selected(ask, of.kind, &of.sample)?;
    let found = of.objects.iter().find(|object| equal(&object[property], value)).ok_or_else(|| {
        let text = format!(
            "Resource '{value}' does not exist or one of its queried reference-property objects are not present."
        );
        refuse(ask, 404, "Request_ResourceNotFound", &text)
    })?;
    let mut object = selected(ask, of.kind, found)?;
    object["@odata.context"] = format!("{context}/$entity").into();
    Ok(Answer::json(200, &object))
}

fn list(world: &World, ask: &Ask<'_>, of: &Collection, context: &str) -> Result<Answer, Answer> {
    options(ask, &["$select", "$filter", "$top", "$skiptoken"])?;
    // Also where no object has it.
    selected(ask, of.kind, &of.sample)?;
    let bad = |text: String| refuse(ask, 400, "BadRequest", &text).violating(text);
    let filter = ask.parameter("$filter").map(odata::filter).transpose();
    let filter = filter.map_err(|error| bad(format!("Invalid filter clause: {error}.")))?;
    if let Some((property, _)) = filter.as_ref().filter(|(property, _)| !of.filters.contains(property)) {
        let text = format!("Unsupported or invalid query filter clause specified for property '{property}'.");
        return Err(refuse(ask, 400, "Request_UnsupportedQuery", &text).violating(text));
    }
    let top = ask.parameter("$top").map_or(Ok(PAGE), |top| {
        top.parse().ok().filter(|top| (1..=PAGE_MOST).contains(top)).ok_or_else(|| {
            bad(format!("Invalid page size specified: '{top}'. Must be between 1 and {PAGE_MOST} inclusive."))
        })
    })?;
    let begin = ask.parameter("$skiptoken").map_or(Ok(0), |page| {
        let begin = page.strip_prefix("page-").and_then(|begin| begin.parse().ok());
        begin.ok_or_else(|| bad(format!("no such $skiptoken: {page:?}")))
    })?;
    let meant = |object: &&Value| filter.as_ref().is_none_or(|(property, value)| equal(&object[*property], value));
    let found: Vec<_> = of.objects.iter().filter(meant).collect();
    let page = found.iter().skip(begin).take(top).map(|object| selected(ask, of.kind, object));
    let mut body = json!({"@odata.context": context, "value": page.collect::<Result<Vec<_>, _>>()?});
    if found.len() > begin + top {
        let mut url = format!("{}{}?", world.urls[&Service::Graph], ask.raw_path);
        for (name, value) in ask.query.iter().filter(|(name, _)| name != "$skiptoken") {
            url += &format!("{name}={}&", utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        body["@odata.nextLink"] = format!("{url}$skiptoken=page-{}", begin + top).into();
    }
    Ok(Answer::json(200, &body))
}

/// Graph compares texts without regard to case.
fn equal(value: &Value, text: &str) -> bool {
    value.as_str().is_some_and(|value| value.to_lowercase() == text.to_lowercase())
}

fn selected(ask: &Ask<'_>, kind: &str, object: &Value) -> Result<Value, Answer> {
    let (Some(selection), Some(properties)) = (ask.parameter("$select"), object.as_object()) else {
        return Ok(object.clone());
    };
    odata::select(properties, selection).map(Value::Object).map_err(|error| {
        let text = format!("Parsing OData Select and Expand failed: {error} Type: 'microsoft.graph.{kind}'.");
        refuse(ask, 400, "BadRequest", &text).violating(text)
    })
}

fn options(ask: &Ask<'_>, known: &[&str]) -> Result<(), Answer> {
    match ask.unknown_parameter(known) {
        None => Ok(()),
        Some(unknown) => {
            let text = format!("The query parameter '{unknown}' is not known here.");
            Err(refuse(ask, 400, "BadRequest", &text).violating(text))
        }
    }
}

fn nowhere(ask: &Ask<'_>) -> Answer {
    let text = format!("no such path: {}", ask.raw_path);
    refuse(ask, 404, "ResourceNotFound", &text).violating(text)
}

/// Graph's errors.
fn refuse(ask: &Ask<'_>, status: u16, code: &str, text: &str) -> Answer {
    let request = guid();
    let body = json!({"error": {
        "code": code, "message": text,
        "innerError": {
            "date": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string(), "request-id": request,
            "client-request-id": ask.header("client-request-id").unwrap_or(&request),
        },
    }});
    Answer::json(status, &body).with("request-id", request)
}
