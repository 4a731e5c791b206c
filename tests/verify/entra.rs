//! A tenant, and an application's credential: each answer of Entra's has a reason and a way out.

use testkit::Azure;
use testkit::azure::{App, Secret, Service::Entra as Login, guid};
use timbr_identity::{
    api::CheckResult,
    compose::Application,
    verify::{Entra, Outcome},
};

use super::{http, said, url};

const GRAPH: &str = "https://graph.microsoft.com/.default";

/// What comes of a request for a token.
async fn token(
    azure: &Azure,
    tenant: &str,
    client_id: &str,
    secret: &str,
    scope: &str,
) -> Result<Vec<String>, Outcome> {
    let (http, authority) = (http(azure, &[]), url(azure, Login));
    let application = Application {
        tenant: tenant.to_owned(),
        client_id: client_id.into(),
        shown: Some(client_id.to_owned()),
        secret: secret.into(),
    };
    let token = Entra { http: &http, authority: &authority }.token(&application, scope).await?;
    assert_eq!(format!("{:?}", token.text), "<redacted>");
    Ok(token.roles)
}

#[tokio::test]
async fn a_tenant_is_known_by_its_id_and_by_its_domains() {
    let azure = Azure::start();
    let (http, authority) = (http(&azure, &[]), url(&azure, Login));
    let entra = Entra { http: &http, authority: &authority };
    for tenant in [azure.tenant(), &azure.tenant().to_uppercase(), "contoso.onmicrosoft.com"] {
        let outcome = entra.tenant(tenant).await;
        assert_eq!(said(&outcome), ("Passed", &*format!("Entra (127.0.0.1) knows tenant {tenant}")));
    }
    for tenant in [&*guid(), "fabrikam.onmicrosoft.com"] {
        let outcome = entra.tenant(tenant).await;
        let sentence = format!(
            "Entra (127.0.0.1) knows no tenant {tenant}; put the Directory (tenant) ID of the app registration's overview into tenantId (AADSTS90002)"
        );
        assert_eq!((said(&outcome), outcome.finding()), (("TenantNotFound", &*sentence), CheckResult::Fail));
    }
    // `common` is nobody's tenant.
    let outcome = entra.tenant("common").await;
    let base = azure.url(Login);
    let sentence = format!(
        "Entra (127.0.0.1) names the issuer \"{base}/{{tenantid}}/v2.0\" for tenant common, where {base}/<the tenant's id>/v2.0 was expected; check tenantId, and the operator's flags --cloud and --authority-url"
    );
    assert_eq!(said(&outcome), ("WrongIssuer", &*sentence));
    assert_eq!(azure.violations(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_credential_is_good_or_the_reason_is_told() {
    let azure = Azure::start();
    let app = azure.register("Timbr");
    let secret = app.secrets[0].value.clone();
    azure.edit_app(&app.client_id, |app| app.grant(["User.Read.All", "Group.Read.All"]));
    let client = app.client_id.as_str();
    let home = azure.tenant();
    let mut roles = token(&azure, home, client, &secret, GRAPH).await.expect("a token");
    roles.sort();
    assert_eq!(roles, ["Group.Read.All", "User.Read.All"]);
    assert!(token(&azure, "contoso.onmicrosoft.com", client, &secret, GRAPH).await.is_ok());

    let refused = async |tenant: &str, client: &str, secret: &str, scope: &str| {
        let outcome = token(&azure, tenant, client, secret, scope).await.expect_err("no token");
        assert_eq!(outcome.finding(), CheckResult::Fail);
        assert!(!outcome.message.contains(secret), "{}", outcome.message);
        (outcome.reason.as_str(), outcome.message)
    };
    let is = |(reason, message): (&str, String), expected: &str, sentence: &str| {
        assert_eq!((reason, &*message), (expected, &*format!("Entra (127.0.0.1) {sentence}")));
    };
    is(
        refused(home, client, "wrong~secret~of~forty~characters~length~", GRAPH).await,
        "ClientSecretInvalid",
        &format!(
            "refuses the secret of application {client}: it is none of its secrets; make a new one under Certificates & secrets, and put its Value into the Secret (AADSTS7000215)"
        ),
    );
    is(
        refused(home, client, &guid(), GRAPH).await,
        "ClientSecretInvalid",
        &format!(
            "refuses the secret of application {client}: the Secret holds the secret's ID; put its Value there, which the portal shows once, when it is made (AADSTS7000215)"
        ),
    );
    let nobody = guid();
    is(
        refused(home, &nobody, &secret, GRAPH).await,
        "ApplicationNotFound",
        &format!(
            "has no application {nobody} in tenant {home}; put the Application (client) ID of the app registration's overview into clientId, and check that it is in this tenant (AADSTS700016)"
        ),
    );
    let nowhere = guid();
    is(
        refused(&nowhere, client, &secret, GRAPH).await,
        "TenantNotFound",
        &format!(
            "knows no tenant {nowhere}; put the Directory (tenant) ID of the app registration's overview into tenantId (AADSTS90002)"
        ),
    );
    is(
        refused(home, client, &secret, "https://nothing.example.com/.default").await,
        "ResourceNotFound",
        &format!(
            "does not know in tenant {home} what https://nothing.example.com/.default is; sign in to the tenant's portal once and open that service, or check the operator's flag --cloud (AADSTS500011)"
        ),
    );
    let expired = Secret::new().expired();
    let value = expired.value.clone();
    azure.edit_app(client, |app: &mut App| app.secrets = vec![expired]);
    is(
        refused(home, client, &value, GRAPH).await,
        "ClientSecretExpired",
        &format!(
            "says that the secret of application {client} has expired; make a new one under Certificates & secrets, and put its Value into the Secret (AADSTS7000222)"
        ),
    );
    assert_eq!(azure.violations(), [] as [&str; 0]);
}

/// A tenant is one segment of a path, whatever somebody writes there.
#[tokio::test]
async fn a_tenant_leads_nowhere_else() {
    let azure = Azure::start();
    let (http, authority) = (http(&azure, &[]), url(&azure, Login));
    let entra = Entra { http: &http, authority: &authority };
    for tenant in ["../../admin", "a?b", "a#b", "a/b", "%2e%2e"] {
        entra.tenant(tenant).await;
        let asked = azure.received().pop().expect("a request").uri;
        assert!(asked.ends_with("/v2.0/.well-known/openid-configuration"), "{tenant}: {asked}");
        assert_eq!(asked.matches('/').count(), 4, "{tenant}: {asked}");
    }
}
