//! What a client may send. The rest is refused with a sentence, and is a violation.

use http::request::Parts;
use http::{HeaderMap, Method, Version};

use super::sql::{self, Statement};
use super::world::World;

/// The status and text of an answer that is a failure.
pub(super) type Refusal = (u16, String);

/// What a sound request asks for.
#[derive(Debug)]
pub(super) enum Call {
    Query { ontology: String, statement: Statement, asynchronous: bool },
    Result { id: String },
    Ontologies,
}

pub(super) fn judge(world: &World, head: &Parts, body: &[u8]) -> Result<Call, Refusal> {
    demand(head.version == Version::HTTP_11, 505, || format!("{:?} is not HTTP/1.1", head.version))?;
    let path: Vec<&str> = head.uri.path().split('/').collect();
    let (method, query) = (&head.method, head.uri.query());
    match path[..] {
        ["", "timbr", "openapi", "ontology", ontology, "query"] if !ontology.is_empty() => {
            demand(method == Method::POST, 405, || format!("{method} of a query, which is a POST"))?;
            let sound = query.is_none_or(|query| query.starts_with("datasource=") && !query.contains('&'));
            demand(sound, 400, || "a parameter other than datasource".to_owned())?;
            credentials(world, &head.headers)?;
            let asynchronous = kind(&head.headers)?;
            let body = std::str::from_utf8(body).map_err(|_| (400, "a statement that is not UTF-8".to_owned()))?;
            let statement = sql::parse(body).map_err(|error| (500, format!("SQL: {error}")))?;
            let known = statement != Statement::Other || world.answers.contains_key(body);
            demand(known, 500, || "SQL: a statement that this double does not know".to_owned())?;
            Ok(Call::Query { ontology: ontology.to_owned(), statement, asynchronous })
        }
        ["", "timbr", "openapi", "get-async-results", id] if !id.is_empty() => {
            read(world, head, body)?;
            Ok(Call::Result { id: id.to_owned() })
        }
        ["", "timbr", "api", "get_ontologies", ""] => {
            read(world, head, body)?;
            Ok(Call::Ontologies)
        }
        _ => Err((404, format!("no such path: {}", head.uri.path()))),
    }
}

fn read(world: &World, head: &Parts, body: &[u8]) -> Result<(), Refusal> {
    demand(head.method == Method::GET, 405, || format!("{} of what is only read", head.method))?;
    demand(head.uri.query().is_none() && body.is_empty(), 400, || "a parameter or a body of a GET".to_owned())?;
    credentials(world, &head.headers)
}

/// Exactly one credential, and the right one.
fn credentials(world: &World, headers: &HeaderMap) -> Result<(), Refusal> {
    demand(!headers.contains_key("authorization"), 401, || "Authorization, which Timbr does not know".to_owned())?;
    let tenant = single(headers, "x-jwt-tenant-id")?;
    match (single(headers, "x-api-key")?, single(headers, "x-jwt-token")?) {
        (Some(key), None) => {
            demand(tenant.is_none(), 400, || "x-jwt-tenant-id beside x-api-key".to_owned())?;
            demand(key == world.key, 401, || "x-api-key is not the key".to_owned())
        }
        (None, Some(token)) => {
            let right = world.jwt.as_ref().filter(|(right, _)| right == token);
            let (_, expected) = right.ok_or_else(|| (401, "x-jwt-token is not the token".to_owned()))?;
            // Timbr's client leaves it out where it is given none.
            let meant = tenant.is_none() || tenant == expected.as_deref();
            demand(meant, 401, || "x-jwt-tenant-id is not the tenant".to_owned())
        }
        (None, None) => Err((401, "neither x-api-key nor x-jwt-token".to_owned())),
        (Some(_), Some(_)) => Err((400, "both x-api-key and x-jwt-token".to_owned())),
    }
}

/// The headers that say what kind of query it is: whether it is asynchronous.
fn kind(headers: &HeaderMap) -> Result<bool, Refusal> {
    let content = single(headers, "content-type")?;
    demand(content == Some("application/text"), 415, || format!("Content-Type {content:?}, not application/text"))?;
    let nested = single(headers, "nested")?;
    demand(matches!(nested, Some("true" | "false")), 400, || format!("nested {nested:?}, neither true nor false"))?;
    let asynchronous = single(headers, "x-async")?;
    demand(matches!(asynchronous, None | Some("true")), 400, || format!("x-async {asynchronous:?}, not true"))?;
    Ok(asynchronous.is_some())
}

/// The value of a header that may stand there once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str()).transpose();
    let value = value.map_err(|_| (400, format!("{name} is not ASCII")))?;
    demand(values.next().is_none(), 400, || format!("{name} twice"))?;
    Ok(value)
}

fn demand(holds: bool, status: u16, else_text: impl FnOnce() -> String) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err((status, else_text())) }
}
