//! Which of Microsoft's clouds `az` has to be in. A redirect URI that is set in another is set for nobody.

use std::collections::BTreeSet;

use crate::{api::Spec, compose::Cloud};

use super::shell::{comment, quoted};

/// How to choose the cloud, as comments; nothing for the public one, in which `az` is by itself.
pub fn choice<'a>(authority: &str, specs: impl Iterator<Item = &'a Spec>) -> Vec<String> {
    let (what, name) = match Cloud::ALL.into_iter().find(|cloud| cloud.authority() == authority) {
        Some(Cloud::Public) => return vec![],
        Some(cloud) => {
            (format!("These app registrations are in {}: choose it first:", cloud.az_name()), cloud.az_name())
        }
        None => (
            format!("People sign in at {authority}: choose the cloud that this is in first (`az cloud list`):"),
            "CLOUD",
        ),
    };
    let tenants: BTreeSet<&str> = specs.filter_map(tenant).collect();
    let logins = tenants.into_iter().map(|tenant| comment(&format!("  az login --tenant {}", quoted(tenant))));
    [comment(&what), comment(&format!("  az cloud set --name {name}"))].into_iter().chain(logins).collect()
}

fn tenant(spec: &Spec) -> Option<&str> {
    match spec {
        Spec::AzureSso(sso) => Some(&sso.tenant_id),
        Spec::KeyVaultBinding(vault) => vault.credentials.tenant_id.as_deref(),
        Spec::RoleGroupSync(groups) => groups.credentials.tenant_id.as_deref(),
        _ => None,
    }
}
