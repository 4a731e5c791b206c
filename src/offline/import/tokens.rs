//! Tokens at the API: a JwtAuthentication, and a JwtTenant for each tenant.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use crate::{
    api::Component,
    offline::by_hand::{Section, tenant_of},
};

use super::{
    draft::{Asked, Draft, Refusal, is_begun},
    ledger::{Ledger, Outcome},
    timbr::Timbr,
};

const NAME: &str = "jwt";

/// What tenants take from the JwtAuthentication.
struct Defaults {
    algorithms: String,
    is_custom: bool,
}

/// The JwtAuthentication and its tenants, if tokens are set up.
pub fn make(timbr: &Timbr<'_>, ledger: &mut Ledger) -> Vec<Json> {
    if !is_begun(timbr, &[Section::Tokens, Section::Tenants]) {
        return vec![];
    }
    let places = timbr.of_sections(&[Section::Tokens]);
    let mut draft = Draft::new(timbr, "JwtAuthentication");
    let mut defaults = None;
    let spec = authentication(&mut draft).map(|(spec, found)| {
        defaults = Some(found);
        spec
    });
    let made = draft.finish(NAME, spec, &places, ledger);
    let of_tenants = timbr.of_sections(&[Section::Tenants]);
    let (Some(made), Some(defaults)) = (made, defaults) else {
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
    let mut resources = vec![made];
    let mut names = BTreeSet::new();
    for (tenant, variables) in by_tenant(&of_tenants) {
        let name = object_name(&tenant.to_ascii_lowercase(), &names);
        names.insert(name.clone());
        let mut draft = Draft::new(timbr, "JwtTenant");
        let spec = tenant_spec(&mut draft, tenant, &name, &defaults);
        resources.extend(draft.finish(&name, spec, &variables, ledger));
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
    set("algorithms", list(&algorithms).into());
    for (field, name) in [("audience", "JWT_DEFAULT_AUDIENCE"), ("issuer", "JWT_ISSUER")] {
        if let Some(text) = draft.text(on(name))? {
            set(field, text.into());
        }
    }
    let claim = draft.always(on("JWT_USE_EMAIL_OR_USER"), if is_custom { "email" } else { "upn" })?;
    set("userClaim", claim.into());
    set("tenantUsers", (draft.always(on("JWT_USE_TENANT_USER"), "False")? == "True").into());
    match key(draft, "JWT_DEFAULT_KEY", is_custom, NAME)? {
        Some(reference) => _ = set("keyRef", reference),
        None if is_custom => return Err("JWT_DEFAULT_KEY is not set, which JWT_TYPE custom needs".into()),
        None => {}
    }
    Ok((spec, Defaults { algorithms, is_custom }))
}

fn list(algorithms: &str) -> Vec<String> {
    algorithms.split(',').map(str::to_owned).collect()
}

/// The reference to a key.
fn key(draft: &mut Draft<'_, '_>, name: &str, is_custom: bool, holder: &str) -> Result<Option<Json>, Refusal> {
    if !is_custom {
        // Timbr checks these tokens with Microsoft's keys: nothing is lost.
        draft.drop(on(name), "has no effect with JWT_TYPE azure, which takes no key");
        return Ok(None);
    }
    let credential = draft.credential(on(name))?;
    Ok(credential.map(|credential| draft.reference(holder, "key", &credential, name)))
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
    name: &str,
    defaults: &Defaults,
) -> Result<Map<String, Json>, Refusal> {
    let id = tenant.to_ascii_lowercase();
    let variable = |what: &str| format!("JWT_{tenant}_{what}");
    let mut spec = Map::new();
    let algorithm = variable("ALGORITHM");
    match draft.text(on(&algorithm))? {
        Some(algorithms) => _ = spec.insert("algorithms".to_owned(), list(&algorithms).into()),
        None => draft.add(on(&algorithm), &defaults.algorithms)?,
    }
    if let Some(audience) = draft.text(on(&variable("AUDIENCE")))? {
        spec.insert("audience".to_owned(), audience.into());
    }
    // A tenant may have the name of another resource.
    if let Some(reference) = key(draft, &variable("KEY"), defaults.is_custom, &format!("jwt-tenant-{name}"))? {
        spec.insert("keyRef".to_owned(), reference);
    }
    draft.note(
        Component::Api,
        format!("JwtTenant/{name}: the prefix of its users' names follows the spelling in the header x-jwt-tenant-id, which no variable tells; {id} is written"),
    );
    spec.insert("tenant".to_owned(), id.into());
    Ok(spec)
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
