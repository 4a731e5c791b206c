//! Entra: discovery, keys, and tokens for applications.

use std::time::SystemTime;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ask::{Answer, Ask, value};
use super::directory::{App, Tenant, guid, is_guid};
use super::world::World;
use super::{Service, token};

/// Tenants that stand for whichever the user is of.
const ANY: [&str; 2] = ["common", "organizations"];
/// What may stand in a token request.
const PARAMETERS: [&str; 6] = ["grant_type", "client_id", "client_secret", "scope", "client_info", "claims"];

pub(super) fn answer(world: &World, ask: &Ask<'_>) -> Result<Answer, Answer> {
    let base = &world.urls[&Service::Entra];
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    match path[..] {
        [tenant, "v2.0", ".well-known", "openid-configuration"] => {
            read_only(base, ask)?;
            let of = tenant_or_any(world, ask, tenant)?;
            Ok(Answer::json(200, &discovery(base, of, &format!("{base}/{}/v2.0", placeholder(of)), "v2.0/")))
        }
        [tenant, ".well-known", "openid-configuration"] => {
            read_only(base, ask)?;
            let of = tenant_or_any(world, ask, tenant)?;
            Ok(Answer::json(200, &discovery(base, of, &token::issuer_v1(placeholder(of)), "")))
        }
        [tenant, "discovery", "v2.0", "keys"] | [tenant, "discovery", "keys"] => {
            read_only(base, ask)?;
            let of = tenant_or_any(world, ask, tenant)?;
            Ok(Answer::json(200, &world.keys.published(&format!("{base}/{}/v2.0", placeholder(of)))))
        }
        [tenant, "oauth2", "v2.0", "token"] => {
            if ask.method != Method::POST {
                let text =
                    format!("The endpoint only accepts POST, OPTIONS requests. Received a {} request.", ask.method);
                let refusal = refuse(base, ask, 400, "invalid_request", 900_561, &text);
                return Err(refusal.violating(format!("{} of a token, which is a POST", ask.method)));
            }
            tokens(world, ask, tenant)
        }
        _ => Err(Answer::text(404, "").violating(format!("no such path: {}", ask.raw_path))),
    }
}

fn read_only(base: &str, ask: &Ask<'_>) -> Result<(), Answer> {
    if ask.method == Method::GET {
        return Ok(());
    }
    let text = format!("The endpoint only accepts GET requests. Received a {} request.", ask.method);
    let refusal = refuse(base, ask, 405, "invalid_request", 900_561, &text);
    Err(refusal.violating(format!("{} of what is only read", ask.method)))
}

/// A tenant, or none where any is meant.
fn tenant_or_any<'a>(world: &'a World, ask: &Ask<'_>, name: &str) -> Result<Option<&'a Tenant>, Answer> {
    if ANY.contains(&name) { Ok(None) } else { tenant(world, ask, name).map(Some) }
}

fn tenant<'a>(world: &'a World, ask: &Ask<'_>, name: &str) -> Result<&'a Tenant, Answer> {
    let base = &world.urls[&Service::Entra];
    if !is_guid(name) && !name.contains('.') {
        let text =
            format!("Specified tenant identifier '{name}' is neither a valid DNS name, nor a valid external domain.");
        return Err(refuse(base, ask, 400, "invalid_request", 900_023, &text));
    }
    world.directory.tenant(name).ok_or_else(|| {
        let text = format!(
            "Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into the \
             correct cloud. Check with your subscription administrator, this may happen if there are no active \
             subscriptions for the tenant."
        );
        refuse(base, ask, 400, "invalid_request", 90_002, &text)
    })
}

/// The tenant in an issuer; where any is meant, the client has to put the token's in.
fn placeholder(tenant: Option<&Tenant>) -> &str {
    tenant.map_or("{tenantid}", |tenant| &tenant.id)
}

fn discovery(base: &str, tenant: Option<&Tenant>, issuer: &str, version: &str) -> Value {
    let root = format!("{base}/{}", tenant.map_or("common", |tenant| &tenant.id));
    json!({
        "token_endpoint": format!("{root}/oauth2/{version}token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{root}/discovery/{version}keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": issuer,
        "request_uri_parameter_supported": false,
        "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
        "authorization_endpoint": format!("{root}/oauth2/{version}authorize"),
        "device_authorization_endpoint": format!("{root}/oauth2/{version}devicecode"),
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "end_session_endpoint": format!("{root}/oauth2/{version}logout"),
        "claims_supported": [
            "sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name",
            "msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid",
            "ver", "at_hash", "c_hash", "email",
        ],
        "tenant_region_scope": tenant.map(|_| "EU"),
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
        "rbac_url": "https://pas.windows.net",
    })
}

/// The client credentials flow.
fn tokens(world: &World, ask: &Ask<'_>, name: &str) -> Result<Answer, Answer> {
    let base = &world.urls[&Service::Entra];
    let refuse = |status, error: &str, code, text: &str| refuse(base, ask, status, error, code, text);
    let form = ask.form(&PARAMETERS).map_err(|violation| {
        refuse(400, "invalid_request", 90_023, "The request could not be read.").violating(violation)
    })?;
    let needed = |name: &str| {
        value(&form, name).filter(|value| !value.is_empty()).ok_or_else(|| {
            let text = format!("The request body must contain the following parameter: '{name}'.");
            refuse(400, "invalid_request", 900_144, &text).violating(format!("no {name}"))
        })
    };
    let grant = needed("grant_type")?;
    if grant != "client_credentials" {
        let text = format!("The app requested an unsupported grant type '{grant}'.");
        return Err(refuse(400, "unsupported_grant_type", 70_003, &text).violating("another grant_type"));
    }
    let client_id = needed("client_id")?;
    if ANY.contains(&name) {
        let text = "No tenant-identifying information found in either the request or implied by any provided \
                    credentials.";
        return Err(refuse(400, "invalid_request", 50_059, text).violating("a token request without a tenant"));
    }
    let tenant = tenant(world, ask, name)?;
    let app = world.directory.app(&tenant.id, client_id).ok_or_else(|| {
        let text = format!(
            "Application with identifier '{client_id}' was not found in the directory '{}'. This can happen if the \
             application has not been installed by the administrator of the tenant or consented to by any user in \
             the tenant. You may have sent your authentication request to the wrong tenant.",
            tenant.name
        );
        refuse(400, "unauthorized_client", 700_016, &text)
    })?;
    let scope = needed("scope")?;
    let resource = scope.strip_suffix("/.default").filter(|resource| !resource.is_empty() && !resource.contains(' '));
    let resource = resource.ok_or_else(|| {
        let text = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with \
             /.default suffixed to the resource identifier (application ID URI)."
        );
        refuse(400, "invalid_scope", 1_002_012, &text).violating("a scope that is not one resource's /.default")
    })?;
    let secret = value(&form, "client_secret").filter(|secret| !secret.is_empty()).ok_or_else(|| {
        let text = "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant \
                    type.";
        refuse(401, "invalid_client", 7_000_216, text).violating("no client_secret")
    })?;
    check(app, secret).map_err(|(code, text)| refuse(401, "invalid_client", code, &text))?;
    if app.disabled {
        let text = format!("Application '{client_id}'({}) is disabled.", app.display_name);
        return Err(refuse(401, "unauthorized_client", 7_000_112, &text));
    }
    let token = token::issue(world, app, resource).ok_or_else(|| {
        let text = format!(
            "The resource principal named {resource} was not found in the tenant named {}. This can happen if the \
             application has not been installed by the administrator of the tenant or consented to by any user in \
             the tenant. You might have sent your authentication request to the wrong tenant.",
            tenant.name
        );
        refuse(400, "invalid_resource", 500_011, &text)
    })?;
    let seconds = world.lifetime.as_secs();
    let body = json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token});
    Ok(Answer::json(200, &body).with("cache-control", "no-store, no-cache".to_owned()))
}

/// Whether this is one of the application's secrets, and still good.
fn check(app: &App, secret: &str) -> Result<(), (u32, String)> {
    let id = &app.client_id;
    let mut known = app.secrets.iter().filter(|known| known.value == secret && !known.refused).peekable();
    if known.peek().is_none() {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, \
             not the client secret ID, for a secret added to app '{id}'."
        );
        return Err((7_000_215, text));
    }
    if known.all(|known| known.end <= SystemTime::now()) {
        let text = format!(
            "The provided client secret keys for app '{id}' are expired. Visit the Azure portal to create new keys \
             for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added \
             security: https://aka.ms/certCreds."
        );
        return Err((7_000_222, text));
    }
    Ok(())
}

/// Entra's errors, whichever endpoint they are of.
fn refuse(base: &str, ask: &Ask<'_>, status: u16, error: &str, code: u32, text: &str) -> Answer {
    let now = Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let trace = guid();
    let correlation = ask.header("client-request-id").map_or_else(guid, str::to_owned);
    let description = format!("AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}");
    let body = json!({
        "error": error, "error_description": description, "error_codes": [code], "timestamp": now,
        "trace_id": trace, "correlation_id": correlation, "error_uri": format!("{base}/error?code={code}"),
    });
    Answer::json(status, &body)
}
