//! What timbr-server does with a service principal: a RoleGroupSync and a KeyVaultBinding.

use serde_json::{Map, Value as Json, json};

use crate::{
    api::Component,
    offline::by_hand::{Section, tenant_in},
};

use super::{
    credential::Credential,
    draft::{Asked, Draft, Refusal, is_begun},
    duration,
    ledger::{Ledger, Outcome},
    sign_on,
    timbr::Timbr,
};

const GROUP_SYNC: &str = "group-sync";
const KEY_VAULT: &str = "key-vault";

/// The resources that use the service principal.
pub fn make(timbr: &Timbr<'_>, ledger: &mut Ledger) -> Vec<Json> {
    let mut resources = Vec::new();
    let kinds = [
        (Section::GroupSync, "RoleGroupSync", GROUP_SYNC, group_sync as Fields),
        (Section::KeyVault, "KeyVaultBinding", KEY_VAULT, key_vault as Fields),
    ];
    // Both take the same principal; its secret is kept once.
    let mut holder = None;
    for (section, kind, name, fields) in kinds {
        if !is_begun(timbr, &[section]) {
            continue;
        }
        let is_signed_on = sign_on::is_made(ledger);
        let mut draft = Draft::new(timbr, kind);
        let mut spec = Map::new();
        let made = fields(&mut draft, &mut spec)
            .and_then(|()| principal(&mut draft, timbr, is_signed_on, holder.unwrap_or(name), &mut spec))
            .map(|()| spec);
        let places = timbr.of_sections(&[section, Section::Principal]);
        if let Some(resource) = draft.finish(name, made, &places, ledger) {
            holder.get_or_insert(name);
            resources.push(resource);
        }
    }
    if resources.is_empty() && !is_begun(timbr, &[Section::GroupSync, Section::KeyVault]) {
        for (component, name) in timbr.of_sections(&[Section::Principal]) {
            let why = "neither group sync (SYNC_GROUPS_…) nor a key vault (KV_…) is set up to use it";
            ledger.outcomes.insert((component, name.to_owned()), Outcome::Left(why.to_owned()));
        }
    }
    resources
}

/// What a kind takes besides the principal.
type Fields = fn(&mut Draft<'_, '_>, &mut Map<String, Json>) -> Result<(), Refusal>;

fn on(name: &str) -> Asked<'_> {
    (Component::Server, name)
}

fn group_sync(draft: &mut Draft<'_, '_>, spec: &mut Map<String, Json>) -> Result<(), Refusal> {
    let asked = on("SYNC_GROUPS_INTERVAL");
    let seconds = draft.always(asked, "86400")?;
    let interval =
        duration::of(&seconds, 1).ok_or_else(|| draft.refuse(asked, "counts more seconds than can be expressed"))?;
    spec.insert("interval".to_owned(), interval.into());
    let creates = draft.always(on("SYNC_GROUPS_AUTO_CREATE_USER"), "false")? == "true";
    spec.insert("autoCreateUsers".to_owned(), creates.into());
    draft.note(
        Component::Server,
        "which role follows which group is in no variable; list under spec.mappings of RoleGroupSync/group-sync what was run as ALTER ROLE … SYNC",
    );
    Ok(())
}

fn key_vault(draft: &mut Draft<'_, '_>, spec: &mut Map<String, Json>) -> Result<(), Refusal> {
    draft.always(on("KV_VAULT_TYPE"), "azure")?;
    draft.always(on("KV_VAULT_AUTH_TYPE"), "password")?;
    spec.insert("vaultUrl".to_owned(), draft.required(on("KV_VAULT"))?.into());
    Ok(())
}

/// Tenant, client and secret: named, or those of single sign-on if all three are the same.
fn principal(
    draft: &mut Draft<'_, '_>,
    timbr: &Timbr<'_>,
    is_signed_on: bool,
    holder: &str,
    spec: &mut Map<String, Json>,
) -> Result<(), Refusal> {
    let tenant = draft.required(on("AZURE_TENANT_ID"))?;
    let client = draft.required_credential(on("AZURE_CLIENT_ID"))?;
    let secret = draft.required_credential(on("AZURE_CLIENT_SECRET"))?;
    if is_signed_on && of_sign_on(timbr).as_ref() == Some(&(tenant.clone(), client.clone(), secret.clone())) {
        spec.insert("credentialsFrom".to_owned(), json!({"azureSso": sign_on::NAME}));
        return Ok(());
    }
    spec.insert("tenantId".to_owned(), tenant.into());
    match client {
        Credential::Plain(id) => spec.insert("clientId".to_owned(), id.as_str().into()),
        Credential::Referenced { name, key } => {
            spec.insert("clientIdRef".to_owned(), json!({"name": name, "key": key}))
        }
    };
    let reference = draft.reference(holder, "client-secret", &secret, "AZURE_CLIENT_SECRET");
    spec.insert("clientSecretRef".to_owned(), reference);
    Ok(())
}

/// Tenant, client and secret of single sign-on.
fn of_sign_on(timbr: &Timbr<'_>) -> Option<(String, Credential, Credential)> {
    // A draft of its own: nothing of it is entered.
    let mut draft = Draft::new(timbr, "AzureSso");
    let platform = |name| (Component::Platform, name);
    let url = draft.text(platform("OAUTH_BASE_URL")).ok()??;
    let client = draft.credential(platform("OAUTH_CLIENT_ID")).ok()??;
    let secret = draft.credential(platform("OAUTH_SECRET")).ok()??;
    Some((tenant_in(&url)?.1.to_owned(), client, secret))
}
