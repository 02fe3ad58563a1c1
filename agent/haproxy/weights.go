package haproxy

// maxWeight is HAProxy's largest server weight.
const maxWeight = 256

// serverWeights returns the weight of each stable and of each canary server that
// give the canary the largest share that is not above the one asked for, with
// stable and canary the numbers of servers:
//
//	share = canary*wc / (canary*wc + stable*ws)
//
// It returns wc = 0 if even the smallest step is above.
func serverWeights(share, stable, canary int) (ws, wc int) {
	switch {
	case share <= 0 || canary == 0:
		return maxWeight, 0
	case share >= 10000 || stable == 0:
		return 0, maxWeight
	}
	ws = maxWeight
	bestNum, bestDen := 0, 1
	for c := 1; c <= maxWeight; c++ {
		// The smallest stable weight with a share not above the one asked for.
		s := ceilDiv(canary*c*(10000-share), share*stable)
		if s > maxWeight {
			break // larger canary weights need larger stable ones
		}
		num, den := canary*c, canary*c+stable*s
		if num*bestDen >= bestNum*den {
			bestNum, bestDen, ws, wc = num, den, s, c
		}
	}
	return ws, wc
}

// minShare is the smallest share above 0 that weights can give, rounded up to a
// basis point: one canary weight of 1 against stable ones of 256.
func minShare(stable, canary int) int {
	stable, canary = max(stable, 1), max(canary, 1)
	return ceilDiv(10000*canary, canary+stable*maxWeight)
}

// effectiveShare is the share of the canary's weights in all, rounded up so that
// it is never reported below what users get.
func effectiveShare(stable, canary int) int {
	if canary == 0 {
		return 0
	}
	return ceilDiv(10000*canary, canary+stable)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
