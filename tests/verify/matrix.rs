//! Every check meets every fault: what it says then, and that it says so no longer once it is mended.
//!
//! The table is also a page for people, docs/checks.md, which has to say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use testkit::Azure;
use testkit::azure::{App, Denial, Fault as Answers, Grant, Group as There, Platform, Service, guid};
use timbr_identity::{
    api::{CheckReason, Group},
    compose::{Application, Audience, GROUP_SYNC, Probe, Registration, SIGN_ON, SignIn as How, VaultUse},
    verify::{Guard, Http, Limits, Outcome, Services, Session},
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/checks.md");
const URI: &str = "https://timbr.example.com/oauth-authorized/azure";
const GROUP: &str = "Editors";
const ROLES: [&str; 5] = [
    "User.Read.All",
    "Group.Read.All",
    "GroupMember.Read.All",
    "Application.Read.All",
    "DelegatedPermissionGrant.Read.All",
];

/// The checks, as status calls them, with what tells two of one name apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Tenant,
    ClientCredentials,
    ApplicationPermissions,
    GroupOfRole,
    RedirectUri,
    AccountType,
    DelegatedPermissions,
    SecretExpiry,
    PublicUrl,
    SignIn,
    Workspace,
    Vault,
    List,
    Get,
    SetAndDelete,
    Issuer,
}

use Check::*;

impl Check {
    const ALL: [Self; 16] = [
        Tenant,
        ClientCredentials,
        ApplicationPermissions,
        GroupOfRole,
        RedirectUri,
        AccountType,
        DelegatedPermissions,
        SecretExpiry,
        PublicUrl,
        SignIn,
        Workspace,
        Vault,
        List,
        Get,
        SetAndDelete,
        Issuer,
    ];

    /// As status and the documentation have it.
    fn title(self) -> &'static str {
        match self {
            Tenant => "Tenant",
            ClientCredentials => "ClientCredentials",
            ApplicationPermissions => "Permissions (RoleGroupSync)",
            GroupOfRole => "Group of role …",
            RedirectUri => "RedirectUri",
            AccountType => "AccountType",
            DelegatedPermissions => "Permissions (AzureSso, DatabricksPassthrough)",
            SecretExpiry => "SecretExpiry",
            PublicUrl => "PublicUrl",
            SignIn => "SignIn",
            Workspace => "Workspace",
            Vault => "Vault",
            List => "List",
            Get => "Get",
            SetAndDelete => "SetAndDelete",
            Issuer => "Issuer",
        }
    }

    /// Whom it asks last.
    fn asks(self) -> Service {
        match self {
            Tenant | ClientCredentials | ApplicationPermissions | Issuer => Service::Entra,
            GroupOfRole | RedirectUri | AccountType | DelegatedPermissions | SecretExpiry => Service::Graph,
            PublicUrl | Workspace => Service::Databricks,
            SignIn => Service::Platform,
            Vault | List | Get | SetAndDelete => Service::Vault,
        }
    }

    /// Whether it signs in with the application's secret.
    fn signs_in(self) -> bool {
        !matches!(self, Tenant | PublicUrl | SignIn | Workspace | Vault | Issuer)
    }
}

/// Declares what goes wrong, in the order of the documentation: what a key vault denies stands in the middle.
macro_rules! faults {
    ($($before:ident = $before_title:literal,)+ ; $($after:ident = $after_title:literal,)+) => {
        /// What goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Fault { $($before,)+ Denied(Denial), $($after,)+ }

        impl Fault {
            fn all() -> Vec<Self> {
                let denials = Denial::ALL.map(Fault::Denied);
                [&[$(Fault::$before,)+][..], &denials, &[$(Fault::$after,)+]].concat()
            }

            fn title(self) -> String {
                match self {
                    $(Fault::$before => $before_title.to_owned(),)+
                    Fault::Denied(denial) => format!("The key vault answers {denial:?}"),
                    $(Fault::$after => $after_title.to_owned(),)+
                }
            }
        }
    };
}

faults! {
    Nothing = "Everything is right",
    WrongSecret = "The secret is none of the application's",
    SecretId = "The secret's ID was pasted instead of its Value",
    SecretExpired = "The secret has expired",
    UnknownTenant = "There is no such tenant",
    UnknownApplication = "There is no such application",
    ApplicationDisabled = "The application is disabled",
    RolesNotGranted = "No application permission is granted",
    GroupGone = "There is no such group",
    GroupTwice = "There are two groups of that name",
    RedirectUriGone = "The redirect URI is not registered",
    RedirectUriOfSpa = "The redirect URI is registered for a single-page application",
    ManyTenants = "The application is for any tenant",
    PermissionNotAsked = "The registration asks for no permissions",
    ConsentWithdrawn = "No administrator has consented",
    SecretNotListed = "The secret is not listed in the registration",
    SchemeIsHttp = "Timbr has people sent back to http://…",
    OtherTimbr = "Another Timbr answers at publicUrl",
    NotOffered = "Timbr offers no single sign-on",
    VaultElsewhere = "The key vault belongs to another tenant",
    ;
    NoUsableKey = "No key that is published can be used",
    OtherIssuer = "The discovery document names another issuer",
    NoSuchName = "The host's name cannot be resolved",
    Refused = "Nobody listens there",
    UnknownAuthority = "The certificate is of an unknown authority",
    NoAnswer = "No answer in time",
    TooMany = "429, with Retry-After",
    Failing = "500",
    HalfAnswer = "Half an answer",
    SentElsewhere = "A redirect to a private address",
    FiftyMegabytes = "50 MB",
    Html = "A page of HTML, as of a proxy",
}

/// Why a fault is none to a check: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NotApplicable {
    SignsNotIn,
    AsksNotThere,
    AnyAnswerWillDo,
}

impl NotApplicable {
    fn title(self) -> &'static str {
        match self {
            NotApplicable::SignsNotIn => "no sign-in there",
            NotApplicable::AsksNotThere => "something else is asked there",
            NotApplicable::AnyAnswerWillDo => "any answer will do there",
        }
    }
}

/// What a check says of a fault, by the reason; or why it has nothing to say.
fn expected(check: Check, fault: Fault) -> Result<&'static str, NotApplicable> {
    use Fault::*;
    use NotApplicable::*;
    let signs_in = |reason| match check {
        ClientCredentials => Ok(reason),
        _ if check.signs_in() => Ok("NoToken"),
        _ => Err(SignsNotIn),
    };
    let only = |checks: &[Check], reason| if checks.contains(&check) { Ok(reason) } else { Err(AsksNotThere) };
    match fault {
        Nothing => Ok("Passed"),
        WrongSecret | SecretId => signs_in("ClientSecretInvalid"),
        SecretExpired => signs_in("ClientSecretExpired"),
        UnknownTenant => match check {
            Vault => Ok("VaultOfAnotherTenant"),
            Tenant => Ok("TenantNotFound"),
            _ => signs_in("TenantNotFound"),
        },
        // Timbr runs with another one.
        UnknownApplication if check == SignIn => Ok("SignInMisdirected"),
        UnknownApplication => signs_in("ApplicationNotFound"),
        ApplicationDisabled => signs_in("ApplicationDisabled"),
        RolesNotGranted => match check {
            ApplicationPermissions => Ok("RoleMissing"),
            _ if check.asks() == Service::Graph => Ok("NotPermitted"),
            _ => Err(AsksNotThere),
        },
        GroupGone => only(&[GroupOfRole], "GroupNotFound"),
        GroupTwice => only(&[GroupOfRole], "GroupAmbiguous"),
        RedirectUriGone => only(&[RedirectUri], "RedirectUriMissing"),
        RedirectUriOfSpa => only(&[RedirectUri], "RedirectUriOfOtherType"),
        ManyTenants => only(&[AccountType], "AccountTypeWrong"),
        PermissionNotAsked => only(&[DelegatedPermissions], "PermissionMissing"),
        ConsentWithdrawn => only(&[DelegatedPermissions], "ConsentMissing"),
        // It signs in with another one of the application's then.
        SecretNotListed => only(&[SecretExpiry], "SecretNotListed"),
        SchemeIsHttp | OtherTimbr => only(&[SignIn], "SignInMisdirected"),
        NotOffered => only(&[SignIn], "SignInNotSeen"),
        VaultElsewhere => match check {
            Vault => Ok("VaultOfAnotherTenant"),
            _ => only(&[List, Get, SetAndDelete], "CredentialRefused"),
        },
        Denied(denial) => only(
            &[List, Get, SetAndDelete],
            match denial {
                Denial::AccessDenied => "AccessDenied",
                Denial::ForbiddenByRbac => "ForbiddenByRbac",
                Denial::ForbiddenByPolicy => "ForbiddenByPolicy",
                Denial::ForbiddenByFirewall => "ForbiddenByFirewall",
                Denial::ForbiddenByConnection => "ForbiddenByConnection",
            },
        ),
        NoUsableKey => only(&[Issuer], "KeyNotUsable"),
        OtherIssuer => only(&[Tenant, Issuer], "WrongIssuer"),
        NoSuchName | Refused | NoAnswer | HalfAnswer => Ok("Unreachable"),
        UnknownAuthority => Ok("Untrusted"),
        TooMany | Failing | SentElsewhere | Html if check == PublicUrl => Err(AnyAnswerWillDo),
        TooMany => Ok("RateLimited"),
        Failing => Ok("ServiceFailed"),
        SentElsewhere | Html if check == SignIn => Ok("SignInNotSeen"),
        SentElsewhere | Html => Ok("Unreadable"),
        FiftyMegabytes => Ok("Unreadable"),
    }
}

/// Where things are, and who signs in.
#[derive(Clone)]
struct World {
    application: Application,
    at: BTreeMap<Service, String>,
    trusting: bool,
    limits: Limits,
}

impl World {
    fn new(azure: &Azure, app: &App) -> Self {
        Self {
            application: super::application(app),
            at: Service::ALL.map(|service| (service, azure.url(service).to_owned())).into(),
            trusting: true,
            limits: Limits { connect: Duration::from_secs(2), whole: Duration::from_secs(20) },
        }
    }

    fn probe(&self, azure: &Azure, check: Check) -> Probe {
        let application = self.application.clone();
        let of_vault = |what_for| Probe::Vault(application.clone(), self.at[&Service::Vault].clone(), what_for);
        let registration = |aspect| Probe::Registration(application.clone(), aspect);
        match check {
            Tenant => Probe::Tenant(application.tenant.clone()),
            ClientCredentials => Probe::Token(application.clone(), Audience::Graph),
            ApplicationPermissions => Probe::Roles(application.clone(), GROUP_SYNC),
            GroupOfRole => {
                Probe::Group(application.clone(), Group { id: None, name: Some(GROUP.to_owned()), email: None })
            }
            RedirectUri => registration(Registration::RedirectUri(URI.to_owned())),
            AccountType => registration(Registration::SingleTenant),
            DelegatedPermissions => registration(Registration::Delegated(SIGN_ON)),
            SecretExpiry => registration(Registration::SecretExpiry),
            PublicUrl => Probe::Site(self.at[&Service::Databricks].clone()),
            SignIn => Probe::SignIn(How {
                url: self.at[&Service::Platform].clone(),
                application,
                redirect_uri: URI.to_owned(),
            }),
            Workspace => Probe::Workspace(self.at[&Service::Databricks].trim_start_matches("https://").to_owned()),
            Vault => of_vault(VaultUse::Tenant),
            List => of_vault(VaultUse::List),
            Get => of_vault(VaultUse::Get),
            SetAndDelete => of_vault(VaultUse::Write),
            Issuer => Probe::Issuer {
                issuer: format!("{}/{}/v2.0", self.at[&Service::Entra], azure.tenant()),
                jwks_url: None,
                algorithms: vec!["RS256"],
            },
        }
    }

    /// What comes of a check, of which nothing is remembered.
    async fn tried(&self, azure: &Azure, check: Check) -> Outcome {
        let guard = Guard { allowed: vec!["127.0.0.0/8".parse().expect("a network")], ..Guard::default() };
        let bundle = if self.trusting { azure.ca_pem() } else { "" };
        let http = Http::new(guard, bundle.as_bytes(), self.limits).expect("there is TLS");
        let services = Services {
            authority: self.at[&Service::Entra].parse().expect("a URL"),
            graph: self.at[&Service::Graph].parse().expect("a URL"),
            ..super::services(azure)
        };
        Session::new(&http, &services, Timestamp::now()).run(&self.probe(azure, check)).await
    }
}

/// Makes a fault, at the service that a check asks; returns the world as it is then.
fn break_it(azure: &Azure, world: &World, check: Check, fault: Fault) -> World {
    use Fault::*;
    let mut broken = world.clone();
    let id = world.application.shown.clone().expect("an id");
    let edit = |edit: &dyn Fn(&mut App)| azure.edit_app(&id, edit);
    let concerns = expected(check, fault).is_ok();
    let answers = |fault: Answers| azure.always(check.asks(), fault);
    match fault {
        Nothing => {}
        WrongSecret => broken.application.secret = "none~of~its~secrets".into(),
        SecretId => broken.application.secret = guid().as_str().into(),
        SecretExpired => edit(&|app| app.secrets[0] = app.secrets[0].clone().expired()),
        UnknownTenant => broken.application.tenant = guid(),
        UnknownApplication => {
            let nobody = guid();
            broken.application.client_id = nobody.as_str().into();
            broken.application.shown = Some(nobody);
        }
        ApplicationDisabled => edit(&|app| app.disabled = true),
        RolesNotGranted => edit(&|app| app.roles.clear()),
        GroupGone => azure.remove_group(&group(azure).id),
        GroupTwice => azure.set_group(There::new(azure.tenant(), GROUP)),
        RedirectUriGone => edit(&|app| app.redirect_uris.clear()),
        RedirectUriOfSpa => edit(&|app| app.spa_redirect_uris = std::mem::take(&mut app.redirect_uris)),
        ManyTenants => edit(&|app| app.sign_in_audience = "AzureADMultipleOrgs".to_owned()),
        PermissionNotAsked => edit(&|app| app.required_resource_access = json!([])),
        ConsentWithdrawn => edit(&|app| app.grants.clear()),
        SecretNotListed if concerns => answers(Answers::Refuse(200, json!({"passwordCredentials": []}).to_string())),
        SchemeIsHttp => {
            let redirect_uri = URI.replace("https://", "http://");
            azure.set_platform(Some(Platform { redirect_uri, ..platform(azure, &world.application) }));
        }
        OtherTimbr => azure.set_platform(Some(Platform { client_id: guid(), ..platform(azure, &world.application) })),
        NotOffered => azure.set_platform(None),
        VaultElsewhere => azure.edit_vault(|vault| vault.tenant = guid()),
        Denied(denial) => azure.edit_vault(|vault| vault.deny_all(denial)),
        NoUsableKey => azure.hide_keys(true),
        OtherIssuer if concerns => {
            let document = json!({"issuer": "https://login.example.com/v2.0", "jwks_uri": azure.url(Service::Entra)});
            answers(Answers::Refuse(200, document.to_string()));
        }
        SecretNotListed | OtherIssuer => {}
        NoSuchName => drop(broken.at.insert(check.asks(), "https://nobody.invalid".to_owned())),
        Refused => drop(broken.at.insert(check.asks(), format!("https://127.0.0.1:{}", testkit::ports::free_port()))),
        UnknownAuthority => broken.trusting = false,
        NoAnswer => {
            broken.limits.whole = Duration::from_secs(1);
            answers(Answers::Hang);
        }
        TooMany => answers(Answers::Later(429, 7, "{}".to_owned())),
        Failing => answers(Answers::Refuse(500, "{}".to_owned())),
        HalfAnswer => answers(Answers::Truncate),
        SentElsewhere => answers(Answers::Redirect("https://10.0.0.7/".to_owned())),
        FiftyMegabytes => answers(Answers::Huge),
        Html => answers(Answers::Html),
    }
    broken
}

/// The group that is there from the start.
fn group(azure: &Azure) -> There {
    There { id: "11111111-aaaa-4bbb-8ccc-222222222222".to_owned(), ..There::new(azure.tenant(), GROUP) }
}

/// Timbr as it has to run.
fn platform(azure: &Azure, application: &Application) -> Platform {
    let client_id = application.shown.clone().expect("an id");
    Platform { tenant: azure.tenant().to_owned(), client_id, redirect_uri: URI.to_owned() }
}

/// Everything as it has to be.
fn mend(azure: &Azure, app: &App) {
    azure.recover();
    azure.hide_keys(false);
    azure.set_app(app.clone());
    azure.set_platform(Some(platform(azure, &super::application(app))));
    for known in azure.groups() {
        azure.remove_group(&known.id);
    }
    azure.set_group(group(azure));
    let tenant = azure.tenant().to_owned();
    azure.edit_vault(|vault| {
        vault.allow_all();
        vault.tenant = tenant;
    });
}

/// A world in which every check passes.
fn right(azure: &Azure) -> App {
    let mut app = azure.register("Timbr");
    app.grant(ROLES);
    app.redirect_uris = vec![URI.to_owned()];
    app.ask(SIGN_ON.iter().map(|it| it.id));
    app.grants = vec![Grant::for_all("openid profile email User.Read")];
    app
}

#[tokio::test]
async fn every_fault_shows_and_so_does_every_repair() {
    let azure = Azure::start();
    let app = right(&azure);
    let world = World::new(&azure, &app);
    let (mut met, mut wrong) = (0, Vec::new());
    for fault in Fault::all() {
        for check in Check::ALL {
            mend(&azure, &app);
            let broken = break_it(&azure, &world, check, fault);
            let outcome = broken.tried(&azure, check).await;
            let wanted = expected(check, fault).unwrap_or("Passed");
            if outcome.reason.as_str() != wanted {
                wrong.push(format!("{check:?}, {fault:?}: {} and not {wanted}: {}", outcome.reason, outcome.message));
            }
            // Each sentence names whom it is about, and no secret.
            assert!(!outcome.message.contains(&app.secrets[0].value), "{check:?}, {fault:?}: {}", outcome.message);
            mend(&azure, &app);
            let mended = world.tried(&azure, check).await;
            if mended.reason.as_str() != "Passed" {
                wrong.push(format!("{check:?}, after {fault:?}: {}", mended.message));
            }
            met += 1;
        }
    }
    println!("{met} pairs of a check and a fault, each broken and mended");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(azure.violations(), [] as [&str; 0]);
}

/// The table as the documentation has it.
fn table() -> String {
    let mut table = String::from("| What is wrong | What is said | Not concerned |\n|---|---|---|\n");
    for fault in Fault::all() {
        let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut others: BTreeMap<NotApplicable, Vec<&str>> = BTreeMap::new();
        for check in Check::ALL {
            match expected(check, fault) {
                Ok(reason) => said.entry(reason).or_default().push(check.title()),
                Err(why) => others.entry(why).or_default().push(check.title()),
            }
        }
        let names = |checks: &[&str]| {
            let left: Vec<&str> =
                Check::ALL.map(Check::title).into_iter().filter(|title| !checks.contains(title)).collect();
            match left.as_slice() {
                [] => "every check".to_owned(),
                [_] | [_, _] => format!("every check but {}", left.join(", ")),
                _ => checks.join(", "),
            }
        };
        let said = said.iter().map(|(reason, checks)| format!("`{reason}`: {}", names(checks)));
        let only = others.len() == 1;
        let others = others.iter().map(|(why, checks)| match only {
            true => format!("the others: {}", why.title()),
            false => format!("{}: {}", names(checks), why.title()),
        });
        let [said, others] = [said.collect::<Vec<_>>(), others.collect()].map(|cells| cells.join("<br>"));
        table += &format!("| {} | {said} | {others} |\n", fault.title());
    }
    table
}

#[test]
fn the_documentation_has_the_same_table() {
    const BEGIN: &str = "<!-- The table is that of tests/verify/matrix.rs. -->\n";
    let text = std::fs::read_to_string(PAGE).expect("docs/checks.md");
    let (_, rest) = text.split_once(BEGIN).expect("the table begins");
    let found = rest.split("\n\n").next().unwrap_or_default().to_owned() + "\n";
    assert!(found == table(), "docs/checks.md ought to have:\n{}", table());
}

/// Each reason has its entry there, which says what a check has found then.
#[test]
fn every_reason_has_its_entry() {
    let page = std::fs::read_to_string(PAGE).expect("docs/checks.md");
    let entries = page.split("\n### ").skip(1).map(|entry| entry.split_once("\n\n").expect("a text"));
    let entries: BTreeMap<&str, &str> = entries.collect();
    let found = |text: &&str| text.split_once(". ").expect("a sentence").0.to_owned();
    let entries: BTreeMap<&str, String> = entries.into_iter().map(|(name, text)| (name, found(&text))).collect();
    let reasons = CheckReason::ALL.iter().map(|reason| (reason.as_str(), reason.finding().as_str().to_owned()));
    assert_eq!(entries, reasons.collect());
}

/// Of each reason that a check can end with there is a fault.
#[test]
fn every_reason_is_met() {
    let met: BTreeSet<&str> = Fault::all()
        .into_iter()
        .flat_map(|fault| Check::ALL.into_iter().filter_map(move |check| expected(check, fault).ok()))
        .collect();
    let elsewhere = [
        "CredentialRefused",
        "ResourceNotFound",
        "HostNotAllowed",
        "NotInInput",
        "ApiKeyRefused",
        "InProgress",
        "Stale",
    ];
    let all = CheckReason::ALL.iter().map(|reason| reason.as_str());
    let left: Vec<&str> = all.filter(|reason| !met.contains(reason) && !elsewhere.contains(reason)).collect();
    assert_eq!(left, [] as [&str; 0]);
}
