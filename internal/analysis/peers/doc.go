// Package peers holds other judges of canaries, written anew from what their
// publications and documentation say they do, so that this one can be held
// against them on the same requests. None of it is used to judge a rollout.
//
// A peer takes in what every host served since the last look, and tells whether
// it would take canary back now, if it may be wrong about a good version with
// probability alpha. Only the tests know what alpha is; threshold checks and
// Kayenta's judge have no such knob. A peer that looks at both directions is
// asked about one: is canary worse.
//
//	[Z]           pooled two-sample z-test, at every look
//	[Flagger]     success rate at least 99 % each minute, five failures
//	[Argo]        success rate at least 95 % each minute, more than three failures
//	[Kayenta]     Mann-Whitney test of the minutes' values, tolerance 0.25, 98 %
//	[MSPRT]       mixture SPRT for two rates: Johari, Koomen, Pekelis, Walsh 2022
//	[Multinomial] Lindon and Malek 2022, arXiv:2011.03567
//	[Blocks]      Turner, Ly and Grunwald 2024, arXiv:2106.02693
//	[Bands]       bands around distributions: Howard and Ramdas 2022, arXiv:1906.09712
//
// [Published] recomputes values that the authors of those methods have printed
// or put into their own tests.
package peers
