//! A Databricks workspace, as far as its address and a client's credential can be tried.

use http::Method;
use serde_json::json;

use super::Service;
use super::ask::{Answer, Ask, value};
use super::directory::guid;
use super::world::World;

/// What may stand in a token request.
const PARAMETERS: [&str; 5] = ["grant_type", "scope", "client_id", "client_secret", "authorization_details"];

pub(super) fn answer(world: &World, ask: &Ask<'_>) -> Result<Answer, Answer> {
    let url = &world.urls[&Service::Databricks];
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    let method = match path[..] {
        ["oidc", "v1", "token"] => Method::POST,
        _ => Method::GET,
    };
    if *ask.method != method {
        let text = format!("{} of {}", ask.method, ask.raw_path);
        return Err(refuse(405, "invalid_request", &text).violating(text));
    }
    match path[..] {
        [""] => {
            Ok(Answer::text(200, "<!DOCTYPE html><html><head><title>Databricks</title></head><body></body></html>"))
        }
        [".well-known", "databricks-config"] => Ok(Answer::json(200, &json!({"oidc_endpoint": format!("{url}/oidc")}))),
        ["oidc", ".well-known", "oauth-authorization-server"] => Ok(Answer::json(
            200,
            &json!({
                "issuer": format!("{url}/oidc"),
                "authorization_endpoint": format!("{url}/oidc/v1/authorize"),
                "token_endpoint": format!("{url}/oidc/v1/token"),
                "scopes_supported": ["all-apis", "offline_access", "openid", "profile", "email", "sql"],
                "response_types_supported": ["code", "id_token"],
                "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            }),
        )),
        ["oidc", "v1", "token"] => tokens(world, ask),
        _ => {
            let text = format!("no such path: {}", ask.raw_path);
            Err(Answer::json(404, &json!({"error_code": "ENDPOINT_NOT_FOUND", "message": text})).violating(text))
        }
    }
}

fn tokens(world: &World, ask: &Ask<'_>) -> Result<Answer, Answer> {
    let form = ask.form(&PARAMETERS).map_err(|error| refuse(400, "invalid_request", &error).violating(error))?;
    if value(&form, "grant_type") != Some("client_credentials") {
        let text = "another grant_type than client_credentials";
        return Err(refuse(400, "unsupported_grant_type", text).violating(text));
    }
    if value(&form, "scope") != Some("all-apis") {
        let text = "another scope than all-apis";
        return Err(refuse(400, "invalid_scope", text).violating(text));
    }
    let known = value(&form, "client_id").and_then(|id| world.databricks.get(id));
    if known.is_none() || known.map(String::as_str) != value(&form, "client_secret") {
        return Err(refuse(401, "invalid_client", "Client authentication failed"));
    }
    // Nothing here takes it.
    let seconds = world.lifetime.as_secs();
    let body = json!({"access_token": guid(), "scope": "all-apis", "token_type": "Bearer", "expires_in": seconds});
    Ok(Answer::json(200, &body))
}

fn refuse(status: u16, error: &str, text: &str) -> Answer {
    Answer::json(status, &json!({"error": error, "error_id": guid(), "error_description": text}))
}
