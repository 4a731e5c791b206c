//! What a cluster and the operator would find wrong with what is made: the same judgement as of any other
//! input, so that nothing is handed over which they refuse.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::{
    api::Kind,
    offline::{Document, Finding, judge},
};

use super::{Options, credential::SecretManifest};

/// Kind and name of a resource that is made.
pub type Made = (String, String);

/// What is wrong with a resource that is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The field.
    path: String,
    /// Cause and fix.
    message: String,
}

/// The variables behind fields, by what is documented of them.
const FIELDS: &[(&str, &str)] = &[
    ("AzureSso.clientId", "OAUTH_CLIENT_ID"),
    ("AzureSso.clientIdRef", "OAUTH_CLIENT_ID"),
    ("AzureSso.clientSecretRef", "OAUTH_SECRET"),
    ("AzureSso.tenantId", "OAUTH_BASE_URL"),
    ("AzureSso.selfRegistration", "AUTH_USER_REGISTRATION_ROLE"),
    ("DatabricksPassthrough.refreshTokenExpiration", "OAUTH_REFRESH_TOKEN_EXPIRATION"),
    ("DatabricksPassthrough.refreshTokenValidation", "OAUTH_REFRESH_TOKEN_VALIDATION"),
    ("RoleGroupSync.interval", "SYNC_GROUPS_INTERVAL"),
    ("RoleGroupSync.tenantId", "AZURE_TENANT_ID"),
    ("RoleGroupSync.clientId", "AZURE_CLIENT_ID"),
    ("RoleGroupSync.clientIdRef", "AZURE_CLIENT_ID"),
    ("RoleGroupSync.clientSecretRef", "AZURE_CLIENT_SECRET"),
    ("KeyVaultBinding.vaultUrl", "KV_VAULT"),
    ("KeyVaultBinding.tenantId", "AZURE_TENANT_ID"),
    ("KeyVaultBinding.clientId", "AZURE_CLIENT_ID"),
    ("KeyVaultBinding.clientIdRef", "AZURE_CLIENT_ID"),
    ("KeyVaultBinding.clientSecretRef", "AZURE_CLIENT_SECRET"),
    ("JwtAuthentication.algorithms", "JWT_DEFAULT_ALGORITHM"),
    ("JwtAuthentication.audience", "JWT_DEFAULT_AUDIENCE"),
    ("JwtAuthentication.issuer", "JWT_ISSUER"),
    ("JwtAuthentication.userClaim", "JWT_USE_EMAIL_OR_USER"),
    ("JwtAuthentication.keyRef", "JWT_DEFAULT_KEY"),
    ("JwtTenant.algorithms", "_ALGORITHM"),
    ("JwtTenant.audience", "_AUDIENCE"),
    ("JwtTenant.keyRef", "_KEY"),
];

impl Fault {
    /// The variable from which the field was made that is at fault, as it is documented.
    pub fn variable(&self, kind: &str) -> Option<&'static str> {
        let field = self.path.strip_prefix("spec.")?.split(['.', '[']).next()?;
        FIELDS.iter().find(|(known, _)| known.split_once('.') == Some((kind, field))).map(|(_, variable)| *variable)
    }

    /// Of that variable: why it cannot stay.
    pub fn of_variable(&self, kind: &str) -> String {
        format!("would be refused as {} of {kind}: {}", self.path, self.message)
    }

    /// Of the resource: why it cannot be made.
    pub fn of_resource(&self) -> String {
        match self.path.as_str() {
            "spec" => self.message.clone(),
            path => format!("{path}: {}", self.message),
        }
    }
}

/// Others build on these, and are at fault only because these are.
const LEADS: [Kind; 3] = [Kind::TimbrInstallation, Kind::AzureSso, Kind::JwtAuthentication];

/// Why resources among those that are made would be refused, beside the input that they would stand in. Where
/// one is that others build on, the others are to be made anew without it.
pub fn faults(
    resources: &[Json],
    secrets: &[SecretManifest],
    input: &[Document],
    options: &Options<'_>,
) -> BTreeMap<Made, Fault> {
    // Without the Deployments: what they set by hand is to be taken out of them.
    let is_deployment = |document: &&Document| document.value.get("kind").is_some_and(|kind| kind == "Deployment");
    let mut documents: Vec<Document> = input.iter().filter(|document| !is_deployment(document)).cloned().collect();
    let made = |value| Document { file: "import".to_owned(), number: 1, line: 1, value };
    documents.extend(secrets.iter().map(SecretManifest::manifest).map(made));
    let first = documents.len();
    documents.extend(resources.iter().cloned().map(made));
    let judged = judge(&documents, options.namespace.unwrap_or("default"), options.settings);
    let mut faults = BTreeMap::new();
    for finding in judged.findings.iter().filter(|finding| finding.is_error() && finding.at >= first) {
        let Finding { path, message, .. } = finding;
        let of = key(&documents[finding.at].value);
        faults.entry(of).or_insert_with(|| Fault { path: path.clone(), message: message.clone() });
    }
    let is_lead = |kind: &str| LEADS.iter().any(|lead| lead.name() == kind);
    if faults.keys().any(|(kind, _)| is_lead(kind)) {
        faults.retain(|(kind, _), _| is_lead(kind));
    }
    faults
}

fn key(resource: &Json) -> Made {
    let text = |pointer: &str| resource.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
    (text("/kind"), text("/metadata/name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::by_hand::documented;

    #[test]
    fn the_variable_behind_a_field() {
        let fault = |path: &str| Fault { path: path.to_owned(), message: "no".to_owned() };
        let table = [
            ("RoleGroupSync", "spec.interval", Some("SYNC_GROUPS_INTERVAL")),
            ("AzureSso", "spec.clientSecretRef.name", Some("OAUTH_SECRET")),
            ("JwtTenant", "spec.algorithms[0]", Some("_ALGORITHM")),
            ("JwtTenant", "spec", None),
            ("AzureSso", "metadata.name", None),
            ("AzureSso", "spec.publicUrl", None),
        ];
        for (kind, path, variable) in table {
            assert_eq!(fault(path).variable(kind), variable, "{path}");
        }
        assert_eq!(
            (fault("spec").of_resource(), fault("spec.x").of_resource()),
            ("no".to_owned(), "spec.x: no".to_owned())
        );
        for (field, variable) in FIELDS {
            let name = variable.strip_prefix('_').map_or((*variable).to_owned(), |end| format!("JWT_CONTOSO_{end}"));
            assert_eq!(documented(&name).map(|known| known.name), Some(*variable), "{field}");
        }
    }
}
