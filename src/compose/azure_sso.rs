//! What an AzureSso asks for. Variables, spellings and defaults: Timbr's documentation, "Azure AD
//! Single Sign-On (SSO)", step 5.

use crate::api::{
    ADMIN_ROLE_NOT_ALLOWED, AzureSsoSpec, AzureSsoStatus, CLIENT_ID_EXACTLY_ONE,
    CheckLevel::{Advisory, Required},
    Code, Component, PasswordLogin, Problem, Status, UserIdentity, rules,
};

use super::{
    Application, Audience, Case, Check, ClientSecret, Demand, LiveValue, PlainValue, Probe, Registration, SignIn,
    Value,
    plan::Asked,
    portal,
    references::{check_reference, resolve, resolve_client_id, warn_of_secret_id},
};

/// Where Entra sends people back to, below the public address.
const REDIRECT_PATH: &str = "/oauth-authorized/azure";

/// Whether people may sign in with user name and password.
const PASSWORD_LOGIN: &str = "AUTH_WITH_USERPASS";

/// Whether what is asked for locks everybody out if single sign-on does not work.
pub fn locks_out(demand: &Demand) -> bool {
    demand.name == PASSWORD_LOGIN && demand.value == Value::lower_bool(false)
}

/// Whether what is asked for is a way in for those whom single sign-on keeps out.
pub fn lets_in(demand: &Demand) -> bool {
    demand.name == PASSWORD_LOGIN && demand.value == Value::lower_bool(true)
}

/// Whether a role may do everything.
pub fn is_administrator(role: &str) -> bool {
    role.eq_ignore_ascii_case("admin")
}

/// What is wrong with the spec by itself.
pub fn problems(spec: &AzureSsoSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(rules::TENANT_ID.check("spec.tenantId", &spec.tenant_id));
    problems.extend(spec.client_id.as_ref().and_then(|id| rules::CLIENT_ID.check("spec.clientId", id)));
    if spec.client_id.is_some() == spec.client_id_ref.is_some() {
        problems.push(Problem::error("spec", Code::ClientIdExactlyOne, CLIENT_ID_EXACTLY_ONE));
    }
    if let Some(client_id_ref) = &spec.client_id_ref {
        problems.extend(check_reference("spec.clientIdRef", client_id_ref));
    }
    problems.extend(check_reference("spec.clientSecretRef", &spec.client_secret_ref));
    for rule in [&rules::PUBLIC_URL_HTTPS, &rules::PUBLIC_URL_HOST_ONLY] {
        problems.extend(rule.check("spec.publicUrl", &spec.public_url));
    }
    if let Some(registration) = &spec.self_registration {
        problems.extend(rules::ROLE.check("spec.selfRegistration.role", &registration.role));
        if is_administrator(&registration.role) && !registration.allow_admin {
            problems.push(Problem::error("spec.selfRegistration", Code::AdminRoleNotAllowed, ADMIN_ROLE_NOT_ALLOWED));
        }
    }
    problems
}

/// The redirect URI to register.
pub fn redirect_uri(spec: &AzureSsoSpec) -> String {
    format!("{}{REDIRECT_PATH}", spec.public_url)
}

/// What an accepted spec asks for.
pub fn ask(spec: &AzureSsoSpec, case: &Case<'_>) -> Asked {
    const SECRET: &str = "spec.clientSecretRef";
    let snapshot = case.snapshot;
    let mut asked = Asked::default();
    let client_id = match (&spec.client_id, &spec.client_id_ref) {
        (_, Some(reference)) => {
            asked.resolved("spec.clientIdRef", resolve_client_id(snapshot, "spec.clientIdRef", reference))
        }
        (id, None) => id.as_deref().map(|id| Value::Sensitive(id.into())),
    };
    let client_secret = asked.resolved(SECRET, resolve(snapshot, SECRET, &spec.client_secret_ref));
    asked.client_secret = Some(ClientSecret::new(SECRET, &spec.client_secret_ref, snapshot, &mut asked.problems));
    warn_of_secret_id(SECRET, &spec.client_secret_ref, client_secret.as_ref(), &mut asked.problems);
    let application =
        Application::of(&spec.tenant_id, spec.client_id.as_deref(), client_id.as_ref(), client_secret.as_ref());
    checks(spec, application.as_ref(), &mut asked);
    let base_url = format!("{}/{}/oauth2", snapshot.settings.authority_url, spec.tenant_id);
    let base_url = asked.plain(PlainValue::new("spec.tenantId", base_url));
    let registration = spec.self_registration.as_ref();
    let role = registration.and_then(|registration| {
        asked.plain(PlainValue::new("spec.selfRegistration.role", registration.role.as_str()))
    });
    let login = match spec.password_login {
        Some(PasswordLogin::Enabled) => Some(Value::lower_bool(true)),
        Some(PasswordLogin::Disabled) => Some(Value::lower_bool(false)),
        None => None,
    };
    let upn_first = spec.user_identity == UserIdentity::UserPrincipalName;
    asked.problems.extend(scheme(case));
    let variables: [(&'static str, Option<Value>); 8] = [
        ("OAUTH_PROVIDER", Some(Value::constant("azure"))),
        ("OAUTH_CLIENT_ID", client_id),
        ("OAUTH_SECRET", client_secret),
        ("OAUTH_BASE_URL", base_url),
        ("OAUTH_AZURE_WITH_UPN_FIRST", Some(Value::capital_bool(upn_first))),
        ("AUTH_USER_REGISTRATION", registration.map(|_| Value::lower_bool(true))),
        ("AUTH_USER_REGISTRATION_ROLE", role),
        (PASSWORD_LOGIN, login),
    ];
    asked.demands.extend(
        variables.into_iter().filter_map(|(name, value)| {
            Some(Demand { component: Component::Platform, name: name.into(), value: value? })
        }),
    );
    asked.details = Some(details(spec, &snapshot.settings.authority_url));
    asked
}

fn checks(spec: &AzureSsoSpec, application: Option<&Result<Application, String>>, asked: &mut Asked) {
    asked.check("Tenant", Required, Probe::Tenant(spec.tenant_id.clone()));
    asked.check_as(application, "ClientCredentials", Required, |it| Probe::Token(it, Audience::Graph));
    let aspects = [
        ("RedirectUri", Registration::RedirectUri(redirect_uri(spec))),
        ("AccountType", Registration::SingleTenant),
        ("Permissions", Registration::Delegated(portal::SIGN_ON)),
        ("SecretExpiry", Registration::SecretExpiry),
    ];
    for (name, aspect) in aspects {
        asked.check_as(application, name, Advisory, |it| Probe::Registration(it, aspect));
    }
    asked.check("PublicUrl", Advisory, Probe::Site(spec.public_url.clone()));
}

/// Whether people get from the running Timbr to Entra and back; of pods that have what is asked for.
pub fn sign_in(spec: &AzureSsoSpec, checks: &[Check]) -> Option<Check> {
    let application = checks.iter().find_map(|check| match &check.probe {
        Probe::Token(application, Audience::Graph) => Some(application.clone()),
        _ => None,
    });
    let probe = Probe::SignIn(SignIn {
        url: spec.public_url.clone(),
        application: application?,
        redirect_uri: redirect_uri(spec),
    });
    Some(Check { name: "SignIn".to_owned(), level: Advisory, probe })
}

/// Behind an ingress that ends TLS, Timbr builds the redirect URI with this scheme, http unless told
/// otherwise, and Entra refuses it.
fn scheme(case: &Case<'_>) -> Option<Problem> {
    const VARIABLE: &str = "OAUTH_DEFAULT_SCHEME";
    let container = case.container(Component::Platform)?;
    let how = match container.variables(VARIABLE).last() {
        None => "does not set",
        Some(LiveValue::Plain(value)) if value.expose() == b"http" => "sets to http",
        Some(_) => return None,
    };
    Some(Problem::warning(
        "spec.publicUrl",
        Code::SchemeNotHttps,
        format!(
            "timbr-platform's container {} {how} {VARIABLE}, so Timbr asks Entra to send people back to http://… and Entra refuses (AADSTS50011); add to its env: {{name: {VARIABLE}, value: https}}",
            container.name
        ),
    ))
}

fn details(spec: &AzureSsoSpec, authority: &str) -> Status {
    let redirect_uri = redirect_uri(spec);
    let mut portal = vec![
        portal::entry("Redirect URI", redirect_uri.clone(), "Web"),
        portal::entry(
            "Supported account types",
            "Accounts in this organizational directory only (AzureADMyOrg)",
            "Setting",
        ),
    ];
    portal.extend(portal::permissions(portal::SIGN_ON));
    portal.push(portal::consent(authority, &spec.tenant_id, spec.client_id.as_deref()));
    Status::AzureSso(AzureSsoStatus { redirect_uri: Some(redirect_uri), portal, ..Default::default() })
}
