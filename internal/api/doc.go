// Package api holds what operators and the coordinator say to each other over
// the bus: JSON requests and replies.
//
// # Subjects
//
// All below bus.Prefix, all request/reply, triggers and feedback published as
// well; bus.CommandSubject(verb, object) and bus.GetSubject(what, id) make them.
//
//	trigger.<service>        Trigger, a rollout file, or a CloudEvent   -> Reply
//	feedback.<service>       Feedback                                   -> Reply
//	cmd.promote.<service>    Command (Full)                             -> Reply
//	cmd.pause.<service>      Command                                    -> Reply
//	cmd.resume.<service>     Command                                    -> Reply
//	cmd.abort.<service>      Command                                    -> Reply
//	cmd.rollback.<service>   Command (To)                               -> Reply
//	cmd.release.<service>    Command (Host)                             -> Reply
//	cmd.freeze.<service>     Command (For; _fleet: all services)        -> Reply
//	cmd.thaw.<service>       Command (_fleet: the freeze of all)        -> Reply
//	cmd.plan.<service>       Trigger                                    -> Answer[Plan]
//	cmd.cluster.add          Member (ID, Addr)                          -> Reply
//	cmd.cluster.remove       Member (ID)                                -> Reply
//	cmd.cluster.transfer     Member (ID; empty: whoever is best)        -> Reply
//	get.services             -                                          -> Answer[[]ServiceStatus]
//	get.service.<service>    -                                          -> Answer[ServiceStatus]
//	get.rollout.<id>         - (a service: its running or last rollout) -> Answer[RolloutDetail]
//	get.explain.<id>         - (likewise)                               -> Answer[RolloutDetail]
//	get.history.<service>    -                                          -> Answer[History]
//	get.diff.<rollout>       DiffWith, or - (against what is stable)    -> Answer[Diff]
//	get.hosts                -                                          -> Answer[[]HostStatus]
//	get.host.<host>          - (the host's token)                       -> Answer[HostStatus]
//	get.cluster              -                                          -> Answer[ClusterStatus]
//	get.checkup              -                                          -> Answer[Checkup]
//	get.standing             - (each replica answers)                   -> Answer[Standing]
//	get.snapshot[.<part>]    -                                          -> Answer[SnapshotPart]
//
// A refusal has the same form everywhere: {"ok":false,"code":...,"field":...,
// "message":...,"rollout":...}. Only the leader answers, but for get.standing;
// while there is none a request meets "no responders".
//
// Shares are in basis points (10000 is 100 %), times in Unix milliseconds,
// spans in milliseconds. Fields are only ever added.
package api

// The verbs of cmd.<verb>.<service>; Cluster has an action in the service's
// place.
const (
	Promote  = "promote"
	Pause    = "pause"
	Resume   = "resume"
	Abort    = "abort"
	Rollback = "rollback"
	Release  = "release"
	Freezing = "freeze"
	Thawing  = "thaw"
	PlanVerb = "plan"
	Cluster  = "cluster"
)

// The actions of cmd.cluster.<action>.
const (
	Add      = "add"
	Remove   = "remove"
	Transfer = "transfer"
)

// What get.<what>[.<id>] reads.
const (
	GetServices = "services"
	GetService  = "service"
	GetRollout  = "rollout"
	GetExplain  = "explain"
	GetHistory  = "history"
	GetDiff     = "diff"
	GetHosts    = "hosts"
	GetHost     = "host"
	GetCluster  = "cluster"
	GetCheckup  = "checkup"
	GetStanding = "standing"
	GetSnapshot = "snapshot"
)
