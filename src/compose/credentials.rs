//! The service principal that timbr-server has for group synchronisation and key vault together: which
//! it is, by reference, and the three variables that carry it.

use crate::api::{
    AzureSsoSpec, CREDENTIALS_EXACTLY_ONE, Code, Component, Credentials, Problem, Reason, SecretKeyRef, rules,
};

use super::{
    Application, Case, ClientSecret, Demand, PlainValue, Unresolved, Value,
    plan::Asked,
    references::{check_reference, resolve, resolve_client_id, warn_of_secret_id},
};

/// Variables that carry the service principal.
pub const TRIO: [&str; 3] = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"];

/// A service principal as resources name it. Two are the same when they are named the same: values are
/// never compared, so that a rotation parts nobody.
#[derive(Clone, Debug)]
pub struct Principal {
    tenant_id: String,
    client_id: ClientId,
    client_secret: SecretKeyRef,
    /// The fields of the resource that name them.
    paths: [&'static str; 3],
}

#[derive(Clone, Debug)]
enum ClientId {
    Plain(String),
    Secret(SecretKeyRef),
}

impl ClientId {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (ClientId::Plain(one), ClientId::Plain(other)) => one.eq_ignore_ascii_case(other),
            (ClientId::Secret(one), ClientId::Secret(other)) => one == other,
            _ => false,
        }
    }
}

impl Principal {
    fn new(
        tenant: &str,
        id: Option<&String>,
        id_ref: Option<&SecretKeyRef>,
        secret: &SecretKeyRef,
        paths: [&'static str; 3],
    ) -> Option<Self> {
        let client_id = match (id, id_ref) {
            (Some(id), None) => ClientId::Plain(id.clone()),
            (None, Some(reference)) => ClientId::Secret(reference.clone()),
            _ => return None,
        };
        Some(Self { tenant_id: tenant.to_owned(), client_id, client_secret: secret.clone(), paths })
    }

    fn of_sign_on(sso: &AzureSsoSpec) -> Option<Self> {
        const FROM: &str = "spec.credentialsFrom";
        let (id, id_ref) = (sso.client_id.as_ref(), sso.client_id_ref.as_ref());
        Self::new(&sso.tenant_id, id, id_ref, &sso.client_secret_ref, [FROM; 3])
    }

    /// Whether both name the same principal.
    pub fn is_same(&self, other: &Self) -> bool {
        self.tenant_id.eq_ignore_ascii_case(&other.tenant_id)
            && self.client_id.is_same(&other.client_id)
            && self.client_secret == other.client_secret
    }

    /// The tenant.
    pub fn tenant_id(&self) -> &str {
        &self.tenant_id
    }

    /// The client id, unless it is in a Secret.
    pub fn client_id(&self) -> Option<&str> {
        match &self.client_id {
            ClientId::Plain(id) => Some(id),
            ClientId::Secret(_) => None,
        }
    }
}

/// The principal that credentials name, if that can be told.
pub fn principal(credentials: &Credentials, case: &Case<'_>) -> Option<Principal> {
    match &credentials.credentials_from {
        Some(from) => {
            let lead = case.sign_ons.iter().find(|lead| lead.name == from.azure_sso)?;
            Principal::of_sign_on(lead.spec?)
        }
        None => Principal::new(
            credentials.tenant_id.as_ref()?,
            credentials.client_id.as_ref(),
            credentials.client_id_ref.as_ref(),
            credentials.client_secret_ref.as_ref()?,
            [
                "spec.tenantId",
                if credentials.client_id.is_some() { "spec.clientId" } else { "spec.clientIdRef" },
                "spec.clientSecretRef",
            ],
        ),
    }
}

/// What is wrong with credentials by themselves.
pub fn problems(credentials: &Credentials) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(credentials.tenant_id.as_ref().and_then(|id| rules::TENANT_ID.check("spec.tenantId", id)));
    problems.extend(credentials.client_id.as_ref().and_then(|id| rules::CLIENT_ID.check("spec.clientId", id)));
    for (path, reference) in
        [("spec.clientIdRef", &credentials.client_id_ref), ("spec.clientSecretRef", &credentials.client_secret_ref)]
    {
        problems.extend(reference.iter().flat_map(|reference| check_reference(path, reference)));
    }
    if let Some(from) = &credentials.credentials_from {
        problems.extend(rules::OBJECT_NAME.check("spec.credentialsFrom.azureSso", &from.azure_sso));
    }
    if !credentials.is_exactly_one_way() {
        problems.push(Problem::error("spec", Code::CredentialsExactlyOne, CREDENTIALS_EXACTLY_ONE));
    }
    problems
}

/// Asks for the three variables. Returns the application that they stand for, unless something is missing; what of it
/// is not in the input is told.
pub fn ask(credentials: &Credentials, case: &Case<'_>, asked: &mut Asked) -> Option<Result<Application, String>> {
    if let Some(from) = &credentials.credentials_from {
        let name = &from.azure_sso;
        if case.is_unknown(&case.sign_ons, name) {
            asked.not_in_input("spec.credentialsFrom.azureSso", &format!("AzureSso {name}"));
            let placeholder = |field: &str| Value::Placeholder(format!("<AzureSso {name}: {field}>"));
            let values = ["tenantId", "clientId", "clientSecretRef"].map(placeholder);
            asked.demands.extend(TRIO.into_iter().zip(values).map(|(variable, value)| demand(variable, value)));
            return Some(Err(format!("AzureSso {name}")));
        }
        if let Some(unresolved) = not_ready(name, case) {
            asked.unresolved.push(unresolved);
            return None;
        }
    }
    let principal = principal(credentials, case)?;
    let [tenant_path, id_path, secret_path] = principal.paths;
    let tenant = asked.plain(PlainValue::new(tenant_path, principal.tenant_id.as_str()));
    let client_id = match &principal.client_id {
        ClientId::Plain(id) => asked.plain(PlainValue::new(id_path, id.as_str())),
        ClientId::Secret(reference) => asked.resolved(id_path, resolve_client_id(case.snapshot, id_path, reference)),
    };
    let secret = asked.resolved(secret_path, resolve(case.snapshot, secret_path, &principal.client_secret));
    warn_of_secret_id(secret_path, &principal.client_secret, secret.as_ref(), &mut asked.problems);
    // That of an AzureSso is told there.
    asked.client_secret = credentials
        .client_secret_ref
        .as_ref()
        .map(|reference| ClientSecret::new(secret_path, reference, case.snapshot, &mut asked.problems));
    let application = Application::of(&principal.tenant_id, principal.client_id(), client_id.as_ref(), secret.as_ref());
    for (name, value) in TRIO.into_iter().zip([tenant, client_id, secret]) {
        asked.demands.extend(value.map(|value| demand(name, value)));
    }
    application
}

/// The application of an AzureSso that is ready, for others that build on it.
pub fn application(sso: &AzureSsoSpec, case: &Case<'_>) -> Option<Result<Application, String>> {
    let value = |reference: &SecretKeyRef| resolve(case.snapshot, "", reference).ok();
    let client_id = match &sso.client_id_ref {
        Some(reference) => value(reference),
        None => sso.client_id.as_deref().map(|id| Value::Sensitive(id.into())),
    };
    let secret = value(&sso.client_secret_ref);
    Application::of(&sso.tenant_id, sso.client_id.as_deref(), client_id.as_ref(), secret.as_ref())
}

fn demand(name: &'static str, value: Value) -> Demand {
    Demand { component: Component::Server, name: name.into(), value }
}

/// Why the credentials of an AzureSso cannot be taken.
fn not_ready(name: &str, case: &Case<'_>) -> Option<Unresolved> {
    let namespace = &case.snapshot.key.namespace;
    let message = match case.sign_ons.iter().find(|lead| lead.name == name) {
        Some(lead) if lead.ready => return None,
        Some(_) => format!(
            "AzureSso {name} is not accepted, or something that it references is missing; its status says what to correct"
        ),
        None => format!(
            "AzureSso {name} does not exist in namespace {namespace}, or belongs to another installation; create it, or give the credentials here"
        ),
    };
    Some(Unresolved { reason: Reason::AzureSsoNotReady, path: "spec.credentialsFrom.azureSso".to_owned(), message })
}
