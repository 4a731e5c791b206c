//! Single sign-on: an AzureSso.

use serde_json::{Map, Value as Json, json};

use crate::{
    api::Component,
    offline::by_hand::{Section, tenant_in},
};

use super::{
    Options,
    credential::Credential,
    draft::{Draft, Refusal, is_begun},
    ledger::{Ledger, Outcome},
    timbr::Timbr,
};

/// The resource's name.
pub const NAME: &str = "sso";

const SECTION: &[Section] = &[Section::SingleSignOn];

/// The AzureSso, if single sign-on is set up.
pub fn make(timbr: &Timbr<'_>, options: &Options<'_>, ledger: &mut Ledger) -> Vec<Json> {
    if !is_begun(timbr, SECTION) {
        return vec![];
    }
    let mut draft = Draft::new(timbr, "AzureSso");
    let spec = spec(&mut draft, options);
    draft.finish(NAME, spec, &timbr.of_sections(SECTION), ledger).into_iter().collect()
}

/// Whether an AzureSso was made.
pub fn is_made(ledger: &Ledger) -> bool {
    let provider = (Component::Platform, "OAUTH_PROVIDER".to_owned());
    matches!(ledger.outcomes.get(&provider), Some(Outcome::Kept(_)))
}

fn on(name: &str) -> (Component, &str) {
    (Component::Platform, name)
}

fn spec(draft: &mut Draft<'_, '_>, options: &Options<'_>) -> Result<Map<String, Json>, Refusal> {
    draft.required(on("OAUTH_PROVIDER"))?;
    let mut spec = Map::new();
    let mut set = |field: &str, value: Json| spec.insert(field.to_owned(), value);
    match draft.required_credential(on("OAUTH_CLIENT_ID"))? {
        Credential::Plain(id) => set("clientId", id.as_str().into()),
        Credential::Referenced { name, key } => set("clientIdRef", json!({"name": name, "key": key})),
    };
    let secret = draft.required_credential(on("OAUTH_SECRET"))?;
    set("clientSecretRef", draft.reference(NAME, "client-secret", &secret, "OAUTH_SECRET"));
    let url = draft.required(on("OAUTH_BASE_URL"))?;
    let authority = &options.settings.authority_url;
    match tenant_in(&url) {
        Some((found, tenant)) if found == authority => set("tenantId", tenant.into()),
        _ => {
            let why = format!("is not at {authority}; repeat with the --cloud or the --authority-url that it is at");
            return Err(draft.refuse(on("OAUTH_BASE_URL"), why));
        }
    };
    if draft.always(on("OAUTH_AZURE_WITH_UPN_FIRST"), "False")? == "True" {
        set("userIdentity", "UserPrincipalName".into());
    }
    if let Some(registration) = self_registration(draft)? {
        set("selfRegistration", registration);
    }
    match draft.text(on("AUTH_WITH_USERPASS"))?.as_deref() {
        Some("true") => _ = set("passwordLogin", "Enabled".into()),
        Some(_) => {
            draft.note(
                Component::Platform,
                "AUTH_WITH_USERPASS=false is held back by the operator until the credentials are verified, so that a mistake locks nobody out",
            );
            set("passwordLogin", "Disabled".into());
        }
        None => {}
    }
    let url = options.public_url.ok_or(
        "it needs the address under which people open Timbr, which is in no variable; repeat with --public-url URL",
    )?;
    set("publicUrl", url.into());
    Ok(spec)
}

fn self_registration(draft: &mut Draft<'_, '_>) -> Result<Option<Json>, Refusal> {
    let (switch, role) = (on("AUTH_USER_REGISTRATION"), on("AUTH_USER_REGISTRATION_ROLE"));
    match draft.text(switch)?.as_deref() {
        Some("true") => {}
        is_off => {
            match is_off {
                Some(_) => draft.drop(switch, "false is Timbr's default, and AzureSso does not write it"),
                // Without the switch there is nothing to say of the role, which stays as it is.
                None if draft.is_unseen(switch) => {
                    draft.leave(role, "is of effect with AUTH_USER_REGISTRATION, which cannot be seen here");
                    return Ok(None);
                }
                None => {}
            }
            draft.drop(role, "has no effect unless AUTH_USER_REGISTRATION is true");
            return Ok(None);
        }
    }
    let role = draft.always(role, "viewer")?;
    let mut registration = json!({"role": role});
    if role.eq_ignore_ascii_case("admin") {
        registration["allowAdmin"] = true.into();
        draft.note(
            Component::Platform,
            "AUTH_USER_REGISTRATION_ROLE makes everybody in the directory who signs in an administrator; selfRegistration.allowAdmin is set, as that is so today",
        );
    }
    Ok(Some(registration))
}
