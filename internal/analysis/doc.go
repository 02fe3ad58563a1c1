// Package analysis judges a canary: is it worse than stable, is it within what is allowed, or is
// that not known yet?
//
// It is pure. Reports of cumulative counts go into a [Panel] of gates, a [Verdict] comes out; the
// same reports give the same verdict on every machine. There is no clock, no randomness and no I/O.
// A [Judge] decides one gate that counts bad requests, such as errors.
//
// # Questions
//
// Three null hypotheses are under test all the time, and one may look as often as one likes:
//
//	worse    canary's odds of an error are no higher than stable's
//	beyond   canary's error rate is at most the allowed increase above stable's
//	safe     canary's error rate is above stable's by the allowed increase or more
//
// Fail needs worse and beyond refuted, each at alpha. So a version that is as good as stable is
// failed with probability alpha at most over the whole rollout, and one that is worse but within
// the allowance is let through. With [NoIncrease] only worse counts. Pass needs safe refuted at
// alphaSafe by the traffic of this step, a floor of requests, traffic on two hosts if two have a
// canary, and no more than slight evidence (3 to 1) for a roll-back. Anything else is Wait. No
// canary traffic is never a Pass.
//
// # Method
//
// Evidence is an e-process: a number that starts at 1 and, while its null hypothesis holds, has
// an expectation of at most 1 at every moment. By Ville's inequality it ever reaches 1/alpha with
// probability alpha at most. Logarithms of it, in nats, are what this package adds up.
//
//   - Counts are cut into host-windows: one host, some seconds. A window closes by time and by
//     numbers of requests, never by errors or times, and is used once.
//   - Each window is a 2x2 [Table]. Given its margins, canary's errors follow Fisher's noncentral
//     hypergeometric law, in which stable's rate does not occur: base rates, incidents, drift,
//     shares and differences between hosts cancel. Its likelihood ratio against a null odds ratio
//     is computed exactly on a fixed grid of 23 odds ratios. Rates are never pooled over hosts or
//     windows before testing.
//   - The absolute questions are binomial likelihood ratios of canary's errors alone, against
//     stable's rate on that host plus the allowance. The rate is taken from this window and a
//     decayed past, on the careful side: high for beyond, low for safe.
//   - safe is answered by a weighted mean of an absolute and a relative e-value, the second
//     against the odds ratio that the allowance amounts to at stable's rate.
//   - Each window's log-likelihood ratio is divided by phi, how much errors cluster in instances
//     as seen among stable's own, or, where a host has just one, among its windows. It is then
//     clipped at ln 5, so no single window decides.
//   - What a host shows for worse within a minute of its first sign of it (70 s on the only host with
//     canary), a bout, is worth no more
//     than a fair bet on which of the host's containers a burst hits: (mc+ms)/mc for mc containers of
//     canary among ms of stable, however many errors there are. The limit is half as high again for a
//     bout that follows on another, and higher by three times what the other hosts show in theirs at
//     the time. A window in which nine in ten of canary's requests are bad and less than half of
//     stable's is free of it, and so is a report that stands for many hosts, see [Report.Pooled].
//     Limits only ever take away.
//   - The evidence for worse is limited to twice what the others show without any one host, or a
//     third of the whole, whichever is more: one sick host decides only when it is very sick.
//     The verdict names it.
//   - Seven tenths of the evidence for a roll-back count from the very start, the rest from starting
//     points set at every step and every five minutes, so that a long good history does not hide
//     a late regression.
//
// # What is exact and what is not
//
// The level of worse is exact, for finite samples and any way of looking, if in each host-window
// the failing requests are exchangeable between canary and stable, and phi can only lower it then.
// If errors cluster inside instances it rests on phi, the clip, the limit on bouts and the rule of
// breadth. In simulation (docs/statistics.md) it holds within the simulation's error for bursts of 2
// to 30 s, up to half of the traffic, on five hosts, on three, and on one. The price is paid where
// one host is all there is, or all that is bad: unless nearly all of its requests fail, it takes
// minutes, not seconds, until that decides, for a burst is over by then. A burst that lasts for
// minutes, or in which nothing goes right, is not to be told from a regression.
//
// The levels of beyond and safe are approximate: they rest on an estimate of stable's rate. What
// beyond gets wrong can fail only versions that are truly worse.
//
// # Hosts against hosts
//
// Where tracks are served by different hosts, a report that stands for all of them says what both
// sides counted while all ran stable ([Report.Before]). Worse then refutes "canary's odds are no
// higher than stable's times what hosts differ by": an upper end of the odds ratio of that past,
// widened by phi, and no more than 10. That it is too low has a hundredth of the gate's alpha, of
// which the n-th past that is read has 1/(n(n+1)). Of no past, and for
// latency, 10 is assumed. Beyond and safe move stable's rate by the same, and by the likeliest ratio.
// This is approximate, and rests on the difference to last.
//
// # Without stable traffic
//
// Where a window has no stable requests (weight 100 %), the frozen [Config.Baseline] stands for
// stable, or without it the host's own stable traffic of before. Both worse and beyond then use
// the upper end of an interval for its rate, safe the lower. A shared incident cannot be told from
// a regression in that case. With neither there is no Fail; Pass needs a rate below the allowance
// itself.
//
// # Order, loss, restart
//
// All sums are exact, and phi of a window is learned from windows at least two window lengths
// older, so the order in which hosts report within a round changes nothing. Late and repeated
// reports are not counted, a new incarnation starts from zero, a lost report costs nothing since
// the next one holds its counts. A judge that hears counters only in mid-step, after a change of
// leaders, takes each host's as one long window in the first step: less sharp. In a later one, where
// they are of several shares, it counts from there on, see [Step]. It holds O(hosts) memory.
//
// # Latency
//
// A [LatencyGate] asks the same of tables whose bad requests are slow ones: slower than a
// threshold, the quantile as stable had it. Thresholds lie on edges of sketches' buckets
// (package internal/latency), where counts are exact in any sum of sketches.
//
//   - A threshold is learned from stable's past alone, on all hosts together, once there are
//     max(1000, 10/(1-q)) requests of it, and again when a step begins. Nothing that was heard
//     before a threshold came into force is tested against it: the interval in which the change
//     falls is left out on each host.
//   - Of canary, requests count as slow that took longer than g times the threshold. With
//     g = 1 + MaxIncrease, Fail refutes "canary's odds of being slow are no higher than stable's",
//     that is "its quantile is within the allowance". The allowance is in the threshold, so beyond
//     is no question of its own. g is rounded up to the next edge, a bucket of 2 %.
//   - Pass refutes "these odds are 1.5 times stable's or more", with g rounded down. With
//     [NoIncrease] g is 1 for Fail, and 1.1 for Pass: no traffic proves that there is no
//     difference. A factor alone would leave a quantile that lies between two modes undecided for
//     ever, odds alone are easier the smaller they are; so Pass has both.
//   - Quantile 0 compares the whole distribution, at p50, p75, p90, p95, p99 and p99.9 as far as
//     their thresholds are known. Fail takes the mean of their e-values, a Pass needs p50, p90 and
//     p99, each at alphaSafe.
//   - Tempering, clip, breadth and starting points are as for errors, phi for each threshold.
//   - The first 30 s of canary traffic on a host are left out, and those after another instance
//     got its first: caches are empty then. An error in them counts.
//   - Where the log told of less than 95 % of a track's requests lately, a host's windows are not
//     tested; if that holds for the fleet the gate waits. What is missing may be just the slow ones.
//   - Without stable traffic canary is held against the rate above the threshold that stable had
//     when it was learned, and for a failure the host's own of before, if that is higher.
//   - The quantiles that are told are of the step, from the difference of two sums of cumulative
//     sketches over the same hosts. They are for people, and decide nothing. No sketch of a host
//     is kept.
//
// What the level rests on beyond exchangeability is that g absorbs lasting differences between
// containers. With NoIncrease there is nothing to absorb them: a canary container on a slower core
// is slower, and is failed for it in time.
//
// A gate has its share of alpha, see [Gates.Shares]: nine tenths of it for what hosts show together,
// see [Together], a hundredth for reading what they differ by, and the rest, see [Apart], for naming
// the one host whose canary alone is bad: split evenly over the hosts of the rollout, so that it holds
// however they join.
//
// # Sources
//
// Conditioning on margins: Wald 1947 and Cox. E-processes and their mixtures: Ville 1939; Turner,
// Ly and Grunwald 2024 (arXiv:2106.02693); Lindon and Malek 2022 (arXiv:2011.03567). Confidence
// sequence by inversion over the grid.
package analysis
