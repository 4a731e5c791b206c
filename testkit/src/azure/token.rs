//! The claims of application tokens, and what a service demands of them.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::directory::{App, guid};
use super::keys::Unverified;
use super::world::World;
use super::{DATABRICKS, GRAPH, KEY_VAULT, Service};

/// Entra dates its tokens back, for clocks that are behind.
const DATED_BACK: u64 = 300;

/// A token for an application, or none for a resource that is not known.
pub(super) fn issue(world: &World, app: &App, resource: &str) -> Option<String> {
    let named = resource.strip_suffix('/').unwrap_or(resource);
    let own = |service: Service| named.eq_ignore_ascii_case(&world.resources[&service]);
    let microsoft = [
        (GRAPH, named == GRAPH || own(Service::Graph)),
        (KEY_VAULT, named == KEY_VAULT || own(Service::Vault)),
        (DATABRICKS, named == DATABRICKS),
    ];
    let microsoft = microsoft.iter().find(|(_, meant)| *meant).map(|(id, _)| *id);
    let name = named.strip_prefix("api://").unwrap_or(named);
    let id = microsoft.or_else(|| world.directory.app(&app.tenant, name).map(|app| &*app.client_id))?;

    let issued = seconds(SystemTime::now()) - DATED_BACK;
    let mut claims = json!({
        "tid": app.tenant, "oid": app.principal_id, "sub": app.principal_id, "idtyp": "app", "uti": guid(),
        "iat": issued, "nbf": issued, "exp": issued + DATED_BACK + world.lifetime.as_secs(),
    });
    let entra = &world.urls[&Service::Entra];
    // Microsoft's own services take version 1, applications here version 2.
    let more = if microsoft.is_some() {
        json!({
            "ver": "1.0", "aud": resource, "iss": issuer_v1(&app.tenant),
            "appid": app.client_id, "appidacr": "1", "app_displayname": app.display_name,
        })
    } else {
        json!({
            "ver": "2.0", "aud": id, "iss": format!("{entra}/{}/v2.0", app.tenant),
            "azp": app.client_id, "azpacr": "1",
        })
    };
    let (Some(all), Value::Object(more)) = (claims.as_object_mut(), more) else {
        return None;
    };
    all.extend(more);
    // Without any, there is no such claim.
    if let Some(roles) = app.roles.get(id).filter(|roles| !roles.is_empty()) {
        all.insert("roles".to_owned(), json!(roles));
    }
    Some(world.keys.sign(&claims))
}

/// The issuer of version 1, which is the same wherever it is asked for.
pub(super) fn issuer_v1(tenant: &str) -> String {
    format!("https://sts.windows.net/{tenant}/")
}

/// Why a service does not take a token.
#[derive(Debug)]
pub(super) enum Invalid {
    Unverified(Unverified),
    Audience(String),
    Issuer(String),
    Expired,
    Early,
}

impl Invalid {
    /// Whether no client should send such a token, whatever happened to its keys and time meanwhile.
    pub(super) fn violation(&self) -> Option<String> {
        match self {
            Self::Unverified(Unverified::Malformed) => Some("a token that is no RS256 JWT".to_owned()),
            Self::Unverified(Unverified::Signature) => Some("a token whose signature is wrong".to_owned()),
            Self::Audience(audience) => Some(format!("a token for {audience:?}")),
            Self::Unverified(Unverified::Key) | Self::Issuer(_) | Self::Expired | Self::Early => None,
        }
    }
}

/// The claims of a token that this service takes; of this tenant, or of any that there is.
pub(super) fn demand(world: &World, token: &str, service: Service, tenant: Option<&str>) -> Result<Value, Invalid> {
    let claims = world.keys.verify(token).map_err(Invalid::Unverified)?;
    let id = if service == Service::Graph { GRAPH } else { KEY_VAULT };
    let audience = claims["aud"].as_str().unwrap_or_default();
    if ![id, &world.resources[&service]].contains(&audience.strip_suffix('/').unwrap_or(audience)) {
        return Err(Invalid::Audience(audience.to_owned()));
    }
    let issuer = claims["iss"].as_str().unwrap_or_default();
    let of = claims["tid"].as_str().unwrap_or_default();
    let issuers = [issuer_v1(of), format!("{}/{of}/v2.0", world.urls[&Service::Entra])];
    let known = tenant.map_or_else(|| world.directory.tenants.contains_key(of), |tenant| tenant == of);
    if !known || !issuers.iter().any(|known| known == issuer) {
        return Err(Invalid::Issuer(issuer.to_owned()));
    }
    let now = seconds(SystemTime::now());
    if claims["exp"].as_u64().is_none_or(|end| end <= now) {
        return Err(Invalid::Expired);
    }
    if claims["nbf"].as_u64().is_some_and(|begin| begin > now) {
        return Err(Invalid::Early);
    }
    Ok(claims)
}

/// Since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
