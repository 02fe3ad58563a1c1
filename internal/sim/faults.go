package sim

import "time"

// Kind is a kind of fault, or of what people do at a bad time.
type Kind int

// The kinds of faults and of interference.
const (
	MessageLost Kind = iota
	MessageLate
	MessageTwice
	ProposalLost
	ProposalLate
	ProposalTwice
	ProposalUnknown // committed, but the proposer is told that nobody knows
	LeaderKilled
	LeaderCutOff // it goes on for a while, believing
	QuorumLost
	ReplicaRestored // from a snapshot
	StreamFails
	BusAway
	AgentDies // between two instructions
	DiskRefuses
	HostLeaves
	HostReboots
	HostGone // for good
	HostJoins
	DockerFails
	DockerHalf // done, but an error is returned
	DockerHangs
	DockerAway
	DockerForgets // an event is not delivered
	ContainerDies
	BalancerFails
	BalancerHalf
	BalancerDies
	Trigger
	TriggerTwice
	TriggerReplaces
	OperatorPauses
	OperatorResumes
	OperatorAborts
	OperatorPromotes
	OperatorForces // promotes all the way at once
	OperatorReleases
	LinkStalls   // one way: what the host is sent comes later, all of it, in order
	BalancerSlow // to raise
	OperatorFreezes
	OperatorThaws
	OperatorOverrides // a freeze, by a trigger
	OperatorReturns   // to what was stable before
	OperatorHalts     // freezes, just when a rollout is to take another's place
	kinds
)

// String names the kind in a story.
func (k Kind) String() string {
	return [kinds]string{
		MessageLost: "a message is lost", MessageLate: "a message is late", MessageTwice: "a message comes twice",
		ProposalLost: "a proposal is lost", ProposalLate: "a proposal is committed late", ProposalTwice: "a proposal is committed twice",
		ProposalUnknown: "a proposal is committed, its proposer does not learn it",
		LeaderKilled:    "the leader is killed", LeaderCutOff: "the leader is cut off and does not know it", QuorumLost: "the quorum is lost",
		ReplicaRestored: "a replica restores itself from a snapshot", StreamFails: "the event stream fails", BusAway: "the bus is away",
		AgentDies: "the agent dies", DiskRefuses: "the disk refuses to write", HostLeaves: "the host is cut off", HostReboots: "the host reboots",
		HostGone:  "the host is gone for good",
		HostJoins: "a host joins", DockerFails: "Docker fails", DockerHalf: "Docker does it and returns an error", DockerHangs: "Docker hangs",
		DockerAway: "Docker is away", DockerForgets: "Docker does not tell", ContainerDies: "a container dies", BalancerFails: "HAProxy fails",
		BalancerHalf: "HAProxy does it and returns an error", BalancerDies: "HAProxy dies", Trigger: "a trigger", TriggerTwice: "a trigger is repeated",
		TriggerReplaces: "a trigger that replaces", OperatorPauses: "pause", OperatorResumes: "resume", OperatorAborts: "abort",
		OperatorPromotes: "promote", OperatorForces: "promote --full", OperatorReleases: "release",
		LinkStalls: "what is sent to the host is held up", BalancerSlow: "HAProxy takes its time",
		OperatorFreezes: "freeze", OperatorThaws: "thaw", OperatorOverrides: "a trigger that goes through freezes", OperatorReturns: "rollback", OperatorHalts: "freeze, while a rollout waits for its place",
	}[k]
}

// Fault is one thing that went wrong, or that somebody did.
type Fault struct {
	ID   uint64        `json:"id"`
	Kind Kind          `json:"kind"`
	Who  string        `json:"who"`
	At   time.Duration `json:"at_ns"`
}

// Private

// usual is how likely each kind is each time that it could happen, in a run
// that has it.
func usual() [kinds]float64 {
	return [kinds]float64{
		MessageLost: 0.03, MessageLate: 0.03, MessageTwice: 0.03,
		ProposalLost: 0.08, ProposalLate: 0.05, ProposalTwice: 0.05, ProposalUnknown: 0.05,
		LeaderKilled: 0.02, LeaderCutOff: 0.04, QuorumLost: 0.005, ReplicaRestored: 0.1,
		StreamFails: 0.1, BusAway: 0.005,
		AgentDies: 0.004, DiskRefuses: 0.03, HostLeaves: 0.02, HostReboots: 0.004, HostGone: 0.003, HostJoins: 0.01,
		DockerFails: 0.04, DockerHalf: 0.03, DockerHangs: 0.01, DockerAway: 0.01, DockerForgets: 0.1,
		ContainerDies: 0.02, BalancerFails: 0.02, BalancerHalf: 0.02, BalancerDies: 0.005,
		Trigger: 0.25, TriggerTwice: 0.3, TriggerReplaces: 0.03,
		OperatorPauses: 0.03, OperatorResumes: 0.05, OperatorAborts: 0.03,
		OperatorPromotes: 0.05, OperatorForces: 0.04, OperatorReleases: 0.03,
		LinkStalls: 0.02, BalancerSlow: 0.2,
		OperatorFreezes: 0.02, OperatorThaws: 0.2, OperatorOverrides: 0.2, OperatorReturns: 0.03, OperatorHalts: 0.5,
	}
}

// mix is what a run is made of. Each seed draws its own: with every fault in
// every run, few rollouts would ever come far.
type mix struct {
	rates    [kinds]float64
	hosts    int
	services int
	trouble  time.Duration // how long things go wrong
	traffic  float64       // requests per second to each host
	hostile  float64       // share of versions that are bad in some way
}

func (w *world) draw() mix {
	c := w.chance("mix")
	m := mix{
		hosts: 1 + c.below(6), services: 1, trouble: c.between(4*time.Minute, 25*time.Minute),
		traffic: pick(&c, 5.0, 40, 200), hostile: pick(&c, 0.2, 0.4, 0.6),
	}
	if c.below(4) == 0 {
		m.services = 2
	}
	calm := pick(&c, 0.1, 1, 1) // in some fleets little goes wrong, so that much is seen of it
	for k, rate := range usual() {
		m.rates[k] = rate * calm * pick(&c, 0, 0, 0.3, 1, 1, 3)
	}
	m.rates[Trigger] = usual()[Trigger]
	return m
}
