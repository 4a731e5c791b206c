//! Names that are part of the contract with users and with other tools. None ever changes: managed
//! fields, labels and annotations in running clusters carry them.

/// API group of every kind.
pub const GROUP: &str = "identity.timbr.ai";
/// The served version.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of every kind.
pub const API_VERSION: &str = "identity.timbr.ai/v1alpha1";
/// Field manager of everything we write.
pub const FIELD_MANAGER: &str = "timbr-identity-operator";
/// Field manager of the steps in which a variable changes hands (adopting, taking back, giving back). It is gone
/// from the managed fields when they are done.
pub const TRANSIENT_MANAGER: &str = "timbr-identity-adopt";

/// Label on what we make: who made it.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label of a namespace: the organization that it belongs to. Among namespaces of one organization, a pair of issuer
/// and audience has one ExternalTokenProvider.
pub const LABEL_ORGANIZATION: &str = "identity.timbr.ai/organization";
/// Label on what we make: the component (`platform`, `server`, `api`) it is for.
pub const LABEL_COMPONENT: &str = "identity.timbr.ai/component";
/// Label on what we make: the installation it belongs to (`default` for the implicit one).
pub const LABEL_INSTALLATION: &str = "identity.timbr.ai/installation";
/// Label on a Deployment (metadata only) that carries variables of ours.
pub const LABEL_MANAGED: &str = "identity.timbr.ai/managed";
/// Label by which a Secret's owner agrees that it may be referenced (`--require-secret-opt-in`).
pub const LABEL_CREDENTIAL: &str = "identity.timbr.ai/credential";
/// Secret type that may be referenced, beside `Opaque`.
pub const CREDENTIAL_TYPE: &str = "identity.timbr.ai/credential";
/// Label on a pod template by which Azure Workload Identity sets AZURE_* in the pods. Its name is theirs.
pub const LABEL_WORKLOAD_IDENTITY: &str = "azure.workload.identity/use";
/// Annotation on a Deployment: which resource caused which variable.
pub const ANNOTATION_DELIVERED: &str = "identity.timbr.ai/delivered";
/// Annotation on a pod template, under `delivery: Reference`: another content of the Secret is another value here, and
/// so a rollout.
pub const ANNOTATION_CONTENT: &str = "identity.timbr.ai/content";
/// Annotation on a NetworkPolicy of ours: by which access policies it is there. One that is deleted stays in it.
pub const ANNOTATION_POLICIES: &str = "identity.timbr.ai/policies";
/// Annotation on a resource: any new value makes the operator look at it again.
pub const ANNOTATION_RECONCILE: &str = "identity.timbr.ai/reconcile-requested-at";
/// Annotation on a Secret: when the credential in it ends, such as 2027-01-31T00:00:00Z.
pub const ANNOTATION_EXPIRES: &str = "identity.timbr.ai/expires-at";
/// Annotation on a RoleGroupSync: any new value makes Timbr synchronise its roles now.
pub const ANNOTATION_SYNC: &str = "identity.timbr.ai/sync-requested-at";

/// Prefix of the labels on a pod by which a workload says that it uses a component of Timbr: `api`, `platform` or
/// `server` follows, and the value is Timbr's namespace; empty: the pod's own.
pub const CONSUMES: &str = "consumes.identity.timbr.ai/";
/// The ValidatingWebhookConfiguration by which the webhook is called, unless the operator is told otherwise.
pub const WEBHOOK_CONFIGURATION: &str = "timbr-identity-operator";
/// The labels of a pod that tell its application's name: the first that is there.
pub const APPLICATION_LABELS: [&str; 2] = ["app.kubernetes.io/name", "app"];

/// Secret in the namespace of a Timbr that has no data: its annotation [`ANNOTATION_GUARDS`] tells by which access policies
/// the Timbr is guarded.
pub const GUARDS_SECRET: &str = "timbr-identity-guards";
/// Annotation on [`GUARDS_SECRET`]: names of access policies, by component.
pub const ANNOTATION_GUARDS: &str = "identity.timbr.ai/guards";
/// Annotation on what we made and what outlives what it was made for: why it is still there, for people.
pub const ANNOTATION_NOTE: &str = "identity.timbr.ai/note";

/// Secret in the operator's namespace that holds the certificate of its webhook.
pub const WEBHOOK_SECRET: &str = "timbr-identity-webhook";

/// Secret in the operator's namespace that holds the key of Secret names.
pub const NAME_KEY_SECRET: &str = "timbr-identity-name-key";
/// Key within [`NAME_KEY_SECRET`].
pub const NAME_KEY: &str = "key";

/// Lease in the operator's namespace: of several replicas, its holder writes.
pub const LEASE: &str = "timbr-identity-operator";
/// Lease in each namespace that an operator was told to watch: its holder is the namespace of the operator that looks
/// after it, and the only one that writes there.
pub const CLAIM: &str = "timbr-identity-claim";

/// Name of the implicit installation in labels, and of the one that is taken when several exist.
pub const DEFAULT_INSTALLATION: &str = "default";
