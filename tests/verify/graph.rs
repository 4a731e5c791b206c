//! Groups, and an application's registration: each answer of Graph's has a reason and a way out.

use jiff::Timestamp;
use serde_json::json;
use testkit::Azure;
use testkit::azure::{DATABRICKS, Fault, GRAPH, Grant, Group as There, Secret, Service::Graph};
use timbr_identity::{
    api::{CheckResult, Group},
    compose::{Application, GROUP_SYNC, PASSTHROUGH, Probe, Registration, SIGN_ON},
    verify::Session,
};

use super::{application, http, is, services, tried};

const READS_GROUPS: [&str; 3] = ["User.Read.All", "Group.Read.All", "GroupMember.Read.All"];
const READS_APPS: [&str; 2] = ["Application.Read.All", "DelegatedPermissionGrant.Read.All"];
const URI: &str = "https://timbr.example.com/oauth-authorized/azure";

fn by_id(id: &str) -> Group {
    Group { id: Some(id.to_owned()), name: None, email: None }
}

fn by_name(name: &str) -> Group {
    Group { id: None, name: Some(name.to_owned()), email: None }
}

fn by_email(email: &str) -> Group {
    Group { id: None, name: None, email: Some(email.to_owned()) }
}

#[tokio::test]
async fn a_token_carries_the_roles_or_those_that_are_missing_are_told() {
    let azure = Azure::start();
    let app = azure.register("Timbr");
    let id = &app.client_id;
    let roles = Probe::Roles(application(&app), GROUP_SYNC);
    let sentence = |missing: &str, them: &str| {
        format!(
            "the token of application {id} does not carry {missing}; add {them} of Microsoft Graph as application permissions (not delegated ones) under API permissions, and grant admin consent"
        )
    };
    let all = "User.Read.All, Group.Read.All, GroupMember.Read.All";
    is(&tried(&azure, &roles).await, "RoleMissing", &sentence(all, "them"));
    azure.edit_app(id, |app| app.grant(["User.Read.All", "Group.Read.All"]));
    is(&tried(&azure, &roles).await, "RoleMissing", &sentence("GroupMember.Read.All", "it"));
    azure.edit_app(id, |app| app.grant(READS_GROUPS));
    is(&tried(&azure, &roles).await, "Passed", &format!("the token of application {id} carries {all}"));
    assert_eq!(azure.violations(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_group_is_there_once_or_the_reason_is_told() {
    let azure = Azure::start();
    let app = azure.register("Timbr");
    azure.edit_app(&app.client_id, |app| app.grant(READS_GROUPS));
    let editors = There::new(azure.tenant(), "Editors' \"A\" & B + C");
    let (one, other) = (There::new(azure.tenant(), "Viewers"), There::new(azure.tenant(), "Viewers"));
    let team = There { mail: Some("o'team@example.com".to_owned()), ..There::new(azure.tenant(), "Team") };
    for group in [&editors, &one, &other, &team] {
        azure.set_group(group.clone());
    }
    let group = async |group: Group| tried(&azure, &Probe::Group(application(&app), group)).await;
    let what = "Microsoft Graph (127.0.0.1)";
    let there = [
        (by_id(&editors.id), format!("with the id {}", editors.id)),
        (by_name(&editors.display_name), format!("called {}", editors.display_name)),
        (by_email("o'team@example.com"), "with the address o'team@example.com".to_owned()),
    ];
    for (named, title) in there {
        is(&group(named).await, "Passed", &format!("{what} knows the group {title}"));
    }
    let nobody = testkit::azure::guid();
    for (named, title) in [
        (by_id(&nobody), format!("with the id {nobody}")),
        (by_name("viewers of nothing"), "called viewers of nothing".to_owned()),
        (by_email("nobody@example.com"), "with the address nobody@example.com".to_owned()),
    ] {
        let sentence = format!("{what} knows no group {title} in this tenant; check it on the group's overview page");
        is(&group(named).await, "GroupNotFound", &sentence);
    }
    let sentence = format!(
        "{what} knows several groups called Viewers, and nobody can tell which is meant; name it by its Object ID (group.id)"
    );
    is(&group(by_name("Viewers")).await, "GroupAmbiguous", &sentence);
    // Removed, it shows at once, and restored too.
    azure.remove_group(&editors.id);
    assert_eq!(group(by_id(&editors.id)).await.reason.as_str(), "GroupNotFound");
    azure.set_group(editors.clone());
    assert_eq!(group(by_id(&editors.id)).await.reason.as_str(), "Passed");
    // Who may not read groups does not learn that there are none.
    azure.edit_app(&app.client_id, |app| READS_GROUPS.iter().for_each(|role| app.revoke(role)));
    let outcome = group(by_name("Viewers")).await;
    let sentence = format!(
        "{what} lets the application not read that; grant it the application permission GroupMember.Read.All, or look for yourself"
    );
    is(&outcome, "NotPermitted", &sentence);
    assert_eq!(outcome.finding(), CheckResult::Unknown);
    assert_eq!(azure.violations(), [] as [&str; 0]);
}

#[tokio::test]
async fn where_people_are_sent_back_to() {
    let azure = Azure::start();
    let app = azure.register("Timbr");
    let id = &app.client_id;
    azure.edit_app(id, |app| app.grant(READS_APPS));
    let redirect = Probe::Registration(application(&app), Registration::RedirectUri(URI.to_owned()));
    let title = format!("Microsoft Graph (127.0.0.1) says that application {id}");
    let missing = |there: &str| {
        format!(
            "{title} does not send people back to {URI}{there}; add it, exactly so, under Authentication, platform Web"
        )
    };
    is(&tried(&azure, &redirect).await, "RedirectUriMissing", &missing(""));
    azure.edit_app(id, |app| app.redirect_uris = vec!["https://timbr.example.com".to_owned(), format!("{URI}/")]);
    let near = format!(" (it has \"{URI}/\", which is another one)");
    is(&tried(&azure, &redirect).await, "RedirectUriMissing", &missing(&near));
    let other = |platform: &str| {
        format!(
            "{title} has {URI} under {platform}; remove it there, and add it under Authentication, Add a platform, Web"
        )
    };
    azure.edit_app(id, |app| app.spa_redirect_uris = vec![URI.to_owned()]);
    is(&tried(&azure, &redirect).await, "RedirectUriOfOtherType", &other("Single-page application"));
    azure.edit_app(id, |app| {
        app.spa_redirect_uris.clear();
        app.public_redirect_uris = vec![URI.to_owned()];
    });
    is(&tried(&azure, &redirect).await, "RedirectUriOfOtherType", &other("Mobile and desktop applications"));
    azure.edit_app(id, |app| app.redirect_uris.push(URI.to_owned()));
    is(&tried(&azure, &redirect).await, "Passed", &format!("{title} sends people back to {URI}"));

    let account = Probe::Registration(application(&app), Registration::SingleTenant);
    is(&tried(&azure, &account).await, "Passed", &format!("{title} is for this tenant only"));
    azure.edit_app(id, |app| app.sign_in_audience = "AzureADMultipleOrgs".to_owned());
    let sentence = format!(
        "Microsoft Graph (127.0.0.1) says that the account type of application {id} is \"AzureADMultipleOrgs\", where AzureADMyOrg was expected; change it under Authentication, Supported account types, to accounts in this organizational directory only"
    );
    is(&tried(&azure, &account).await, "AccountTypeWrong", &sentence);
    assert_eq!(azure.violations(), [] as [&str; 0]);
}

#[tokio::test]
async fn what_people_consent_to() {
    let azure = Azure::start();
    let app = azure.register("Timbr");
    let id = &app.client_id;
    azure.edit_app(id, |app| app.grant(READS_APPS));
    let sign_on = Probe::Registration(application(&app), Registration::Delegated(SIGN_ON));
    let what = "Microsoft Graph (127.0.0.1)";
    let not_asked = |missing: &str, them: &str| {
        format!(
            "{what} says that application {id} does not ask for {missing}; add {them} as delegated permissions under API permissions, and grant admin consent"
        )
    };
    let no_consent = |missing: &str| {
        format!(
            "{what} says that no administrator has consented for everybody to {missing} of application {id}, so people are asked at sign-in, or refused; open the link Admin consent of status.portal"
        )
    };
    let consented = format!("{what} says that an administrator has consented to what application {id} asks for");
    let asks = |permissions: &[&[timbr_identity::compose::Permission]]| {
        let access = |api: &str| {
            let of_api = permissions.concat().into_iter().filter(|permission| permission.api_id == api);
            let access: Vec<_> = of_api.map(|permission| json!({"id": permission.id, "type": "Scope"})).collect();
            json!({"resourceAppId": api, "resourceAccess": access})
        };
        json!([access(GRAPH), access(DATABRICKS)])
    };
    is(&tried(&azure, &sign_on).await, "PermissionMissing", &not_asked("email, openid, profile, User.Read", "them"));
    azure.edit_app(id, |app| app.required_resource_access = asks(&[&SIGN_ON[..3]]));
    is(&tried(&azure, &sign_on).await, "PermissionMissing", &not_asked("User.Read", "it"));
    azure.edit_app(id, |app| app.required_resource_access = asks(&[SIGN_ON]));
    is(&tried(&azure, &sign_on).await, "ConsentMissing", &no_consent("email, openid, profile, User.Read"));
    // One person's consent is no one else's.
    let of_one = Grant { principal: Some("somebody".to_owned()), ..Grant::for_all("email openid profile User.Read") };
    azure.edit_app(id, |app| app.grants = vec![of_one, Grant::for_all("openid profile")]);
    is(&tried(&azure, &sign_on).await, "ConsentMissing", &no_consent("email, User.Read"));
    azure.edit_app(id, |app| app.grants.push(Grant::for_all("User.Read email")));
    is(&tried(&azure, &sign_on).await, "Passed", &consented);
    // Databricks is not even in this tenant.
    let passthrough = Probe::Registration(application(&app), Registration::Delegated(PASSTHROUGH));
    azure.edit_app(id, |app| {
        app.required_resource_access = asks(&[SIGN_ON, PASSTHROUGH]);
        app.grants.push(Grant::for_all("offline_access"));
    });
    is(&tried(&azure, &passthrough).await, "ConsentMissing", &no_consent("user_impersonation"));
    // Consent can be looked at only by who may.
    azure.edit_app(id, |app| app.revoke("DelegatedPermissionGrant.Read.All"));
    let outcome = tried(&azure, &sign_on).await;
    assert_eq!((outcome.reason.as_str(), outcome.finding()), ("NotPermitted", CheckResult::Unknown));
    assert!(outcome.message.contains("DelegatedPermissionGrant.Read.All"), "{}", outcome.message);
    assert_eq!(azure.violations(), [] as [&str; 0]);
}

#[tokio::test]
async fn when_the_secret_ends() {
    let azure = Azure::start();
    let app = azure.register("Timbr");
    let id = &app.client_id;
    azure.edit_app(id, |app| app.grant(READS_APPS));
    let expiry = |secret: &str| {
        let application = Application { secret: secret.into(), ..application(&app) };
        Probe::Registration(application, Registration::SecretExpiry)
    };
    let value = &app.secrets[0].value;
    let outcome = tried(&azure, &expiry(value)).await;
    let end = outcome.expires.expect("an end");
    let sentence = format!("Microsoft Graph (127.0.0.1) says that the secret of application {id} is valid until {end}");
    is(&outcome, "Passed", &sentence);
    let days = end.duration_since(Timestamp::now()).as_hours() / 24;
    assert!((363..=365).contains(&days), "{days} days");
    // Of several that begin alike the earliest end counts; others are no matter.
    let soon = Secret {
        end: std::time::SystemTime::now() + std::time::Duration::from_secs(86_400),
        ..Secret::of(&format!("{}zz", &value[..3]))
    };
    let other = Secret::of("QQQ8Q~other").expired();
    azure.edit_app(id, |app| app.secrets.extend([soon, other]));
    let outcome = tried(&azure, &expiry(value)).await;
    let hours = outcome.expires.expect("an end").duration_since(Timestamp::now()).as_hours();
    assert!((22..=24).contains(&hours), "{hours} hours");
    // The one in use is not among them: its token was got before it was removed.
    let http = http(&azure, &[]);
    let services = services(&azure);
    let session = Session::new(&http, &services, Timestamp::now());
    let roles = Probe::Roles(application(&app), GROUP_SYNC);
    session.run(&roles).await;
    azure.edit_app(id, |app| app.secrets.retain(|secret| secret.value.starts_with("QQQ")));
    let outcome = session.run(&expiry(value)).await;
    let sentence = format!(
        "Microsoft Graph (127.0.0.1) lists no secret of application {id} that begins as the one in use, so that its end is not known; say it in the annotation identity.timbr.ai/expires-at of the Secret"
    );
    is(&outcome, "SecretNotListed", &sentence);
    assert_eq!((outcome.finding(), outcome.expires), (CheckResult::Unknown, None));
    assert_eq!(azure.violations(), [] as [&str; 0]);
}

/// What several checks need is asked for once in a session, and what goes wrong at Graph is told of Graph.
#[tokio::test]
async fn a_session_asks_once() {
    let azure = Azure::start();
    let app = azure.register("Timbr");
    azure.edit_app(&app.client_id, |app| app.grant(READS_APPS));
    let (http, services) = (http(&azure, &[]), services(&azure));
    let session = Session::new(&http, &services, Timestamp::now());
    let aspects = [Registration::SingleTenant, Registration::SecretExpiry, Registration::RedirectUri(URI.to_owned())];
    let probes = aspects.map(|aspect| Probe::Registration(application(&app), aspect));
    let outcomes = futures::future::join_all(probes.iter().map(|probe| session.run(probe))).await;
    let reasons: Vec<_> = outcomes.iter().map(|outcome| outcome.reason.as_str()).collect();
    assert_eq!(reasons, ["Passed", "Passed", "RedirectUriMissing"]);
    assert_eq!(azure.received().len(), 2, "a token and a registration");
    assert!(!format!("{session:?}").contains(&app.secrets[0].value), "nothing shows");

    let refuse = |status| Fault::Refuse(status, "{}".to_owned());
    for (fault, reason) in [
        (refuse(500), "ServiceFailed"),
        (Fault::Later(429, 9, "{}".to_owned()), "RateLimited"),
        (Fault::Html, "Unreadable"),
        (Fault::Huge, "Unreadable"),
        (Fault::Truncate, "Unreachable"),
        (Fault::Redirect("https://10.0.0.7/".to_owned()), "Unreadable"),
        (refuse(403), "NotPermitted"),
    ] {
        azure.always(Graph, fault.clone());
        let outcome = tried(&azure, &probes[0]).await;
        assert_eq!((outcome.reason.as_str(), outcome.finding()), (reason, CheckResult::Unknown), "{fault:?}");
        assert!(outcome.message.starts_with("Microsoft Graph (127.0.0.1)"), "{}", outcome.message);
        azure.recover();
        assert_eq!(tried(&azure, &probes[0]).await.reason.as_str(), "Passed", "after {fault:?}");
    }
}
