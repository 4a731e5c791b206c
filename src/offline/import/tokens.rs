//! Tokens at the API: a JwtAuthentication, and a JwtTenant for each tenant.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use crate::{
    api::{CUSTOM_CLAIMS, Component, rules},
    compose::misfit,
    offline::by_hand::{Section, Text, has_shared_key, read_list, tenant_of},
};

use super::{
    credential::Credential,
    draft::{Asked, Draft, Refusal, is_begun},
    ledger::{Ledger, Outcome},
    timbr::Timbr,
};

const NAME: &str = "jwt";

/// What tenants take from the JwtAuthentication.
struct Defaults {
    algorithms: Vec<String>,
    is_custom: bool,
    /// The key, if its value is known.
    key: Option<Text>,
}

/// The JwtAuthentication and its tenants, if tokens are set up.
pub fn make(timbr: &Timbr<'_>, ledger: &mut Ledger) -> Vec<Json> {
    if !is_begun(timbr, &[Section::Tokens, Section::Tenants]) {
        return vec![];
    }
    let places = timbr.of_sections(&[Section::Tokens]);
    let mut draft = Draft::new(timbr, "JwtAuthentication");
    let made = authentication(&mut draft);
    let of_tenants = timbr.of_sections(&[Section::Tenants]);
    let Some((spec, defaults)) = draft.finish(made, &places, ledger) else {
        let is_off = timbr.services.get(&Component::Api).and_then(|api| api.meant("ENABLE_TOKEN"));
        if is_off.is_some_and(|switch| switch.as_str() == "false") {
            let why = "false is Timbr's default, and no resource writes it";
            ledger.outcomes.insert(place("ENABLE_TOKEN"), Outcome::Dropped(why.to_owned()));
        }
        for (_, name) in of_tenants {
            let why = "JwtTenant cannot be made, as there is no JwtAuthentication without the variables that are left out or absent";
            ledger.outcomes.insert(place(name), Outcome::Left(why.to_owned()));
        }
        return vec![];
    };
    let mut resources = vec![timbr.resource("JwtAuthentication", NAME, spec)];
    let mut names = BTreeSet::new();
    for (tenant, variables) in by_tenant(&of_tenants) {
        let mut draft = Draft::new(timbr, "JwtTenant");
        let made = tenant_spec(&mut draft, tenant, &defaults, &mut names);
        let made = draft.finish(made, &variables, ledger);
        resources.extend(made.map(|(name, spec)| timbr.resource("JwtTenant", &name, spec)));
    }
    resources
}

fn on(name: &str) -> Asked<'_> {
    (Component::Api, name)
}

fn place(name: &str) -> (Component, String) {
    (Component::Api, name.to_owned())
}

fn authentication(draft: &mut Draft<'_, '_>) -> Result<(Map<String, Json>, Defaults), Refusal> {
    if draft.text(on("ENABLE_TOKEN"))?.as_deref() != Some("true") {
        return Err("ENABLE_TOKEN is not true, so Timbr reads no tokens; set it if that is meant".into());
    }
    let is_custom = draft.always(on("JWT_TYPE"), "custom")? == "custom";
    let mut spec = Map::new();
    let mut set = |field: &str, value: Json| spec.insert(field.to_owned(), value);
    set("type", if is_custom { "Custom" } else { "Azure" }.into());
    let algorithms = draft.always(on("JWT_DEFAULT_ALGORITHM"), "RS256")?;
    if !is_custom && has_shared_key(&algorithms) {
        let why = "holds HS256 or AES, which need a secret key, and JWT_TYPE azure knows none";
        return Err(draft.refuse(on("JWT_DEFAULT_ALGORITHM"), why));
    }
    let list = list(&algorithms);
    set("algorithms", list.clone().into());
    for (field, name) in [("audience", "JWT_DEFAULT_AUDIENCE"), ("issuer", "JWT_ISSUER")] {
        if let Some(text) = draft.text(on(name))? {
            set(field, text.into());
        }
    }
    let claim = draft.always(on("JWT_USE_EMAIL_OR_USER"), if is_custom { "email" } else { "upn" })?;
    if is_custom && !CUSTOM_CLAIMS.contains(&claim.as_str()) {
        return Err(draft.refuse(on("JWT_USE_EMAIL_OR_USER"), "must be email or username with JWT_TYPE custom"));
    }
    set("userClaim", claim.into());
    set("tenantUsers", (draft.always(on("JWT_USE_TENANT_USER"), "False")? == "True").into());
    let mut default_key = None;
    match key(draft, "JWT_DEFAULT_KEY", &algorithms, is_custom, NAME)? {
        Some(key) => {
            set("keyRef", key.reference);
            default_key = key.text;
        }
        None if is_custom => return Err("JWT_DEFAULT_KEY is not set, which JWT_TYPE custom needs".into()),
        None => {}
    }
    Ok((spec, Defaults { algorithms: list, is_custom, key: default_key }))
}

fn list(algorithms: &str) -> Vec<String> {
    algorithms.split(',').map(str::to_owned).collect()
}

/// A key that fits the algorithms.
struct Key {
    reference: Json,
    /// Its value, if that is known.
    text: Option<Text>,
}

fn key(
    draft: &mut Draft<'_, '_>,
    name: &str,
    algorithms: &str,
    is_custom: bool,
    holder: &str,
) -> Result<Option<Key>, Refusal> {
    if !is_custom {
        // Timbr checks these tokens with Microsoft's keys: nothing is lost.
        draft.leave(on(name), "has no effect with JWT_TYPE azure, which takes no key");
        return Ok(None);
    }
    let Some(credential) = draft.credential(on(name))? else { return Ok(None) };
    let text = match &credential {
        Credential::Plain(key) => Some(key.clone()),
        _ => None,
    };
    if let Some(why) = text.as_ref().and_then(|text| misfit(text.as_str().as_bytes(), &read_list(algorithms))) {
        return Err(draft.refuse(on(name), why));
    }
    Ok(Some(Key { reference: draft.reference(holder, "key", &credential, name), text }))
}

fn by_tenant<'n>(variables: &[(Component, &'n str)]) -> BTreeMap<&'n str, Vec<(Component, &'n str)>> {
    let mut tenants: BTreeMap<&str, Vec<(Component, &str)>> = BTreeMap::new();
    for (component, name) in variables {
        tenants.entry(tenant_of(name).unwrap_or_default()).or_default().push((*component, name));
    }
    tenants
}

fn tenant_spec(
    draft: &mut Draft<'_, '_>,
    tenant: &str,
    defaults: &Defaults,
    names: &mut BTreeSet<String>,
) -> Result<(String, Map<String, Json>), Refusal> {
    let id = tenant.to_ascii_lowercase();
    if !rules::TENANT.holds(&id) || !rules::TENANT_RESERVED.holds(&id) {
        return Err(
            "it names no tenant that JwtTenant can have: letters, digits, - and _, and neither DEFAULT nor USE".into(),
        );
    }
    let variable = |what: &str| format!("JWT_{tenant}_{what}");
    let name = object_name(&id, names);
    let mut spec = Map::new();
    let algorithm = variable("ALGORITHM");
    let algorithms = match draft.text(on(&algorithm))? {
        Some(text) if !defaults.is_custom && has_shared_key(&text) => {
            let why = "holds HS256 or AES, which need a secret key, and JWT_TYPE azure knows none";
            return Err(draft.refuse(on(&algorithm), why));
        }
        Some(text) => {
            spec.insert("algorithms".to_owned(), list(&text).into());
            text
        }
        None => {
            let default = defaults.algorithms.join(",");
            draft.add(on(&algorithm), &default);
            default
        }
    };
    if let Some(audience) = draft.text(on(&variable("AUDIENCE")))? {
        spec.insert("audience".to_owned(), audience.into());
    }
    match key(draft, &variable("KEY"), &algorithms, defaults.is_custom, &name)? {
        Some(key) => _ = spec.insert("keyRef".to_owned(), key.reference),
        None => {
            let key = defaults.key.as_ref();
            if let Some(why) = key.and_then(|key| misfit(key.as_str().as_bytes(), &read_list(&algorithms))) {
                let why =
                    format!("does not fit JWT_DEFAULT_KEY, which the tenant has without a key of its own: that {why}");
                return Err(draft.refuse(on(&algorithm), why));
            }
        }
    }
    draft.note(
        Component::Api,
        format!("JwtTenant/{name}: the prefix of its users' names follows the spelling in the header x-jwt-tenant-id, which no variable tells; {id} is written"),
    );
    spec.insert("tenant".to_owned(), id.into());
    names.insert(name.clone());
    Ok((name, spec))
}

/// A name that an object can have and no other tenant's has.
fn object_name(id: &str, taken: &BTreeSet<String>) -> String {
    let name = id.replace('_', "-").trim_end_matches('-').to_owned();
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    [name.clone()].into_iter().chain(numbered).find(|name| !taken.contains(name)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects() {
        let taken = BTreeSet::from(["a-b".to_owned()]);
        assert_eq!(object_name("contoso", &taken), "contoso");
        assert_eq!(object_name("a_b", &taken), "a-b-2");
        assert_eq!(object_name("a_", &taken), "a");
    }
}
