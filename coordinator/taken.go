package coordinator

import (
	"fmt"
	"strings"
)

// Private

// keyed names the key of the address that the embedded server cannot take.
func (n NATS) keyed(err error) error {
	if !strings.Contains(err.Error(), "address already in use") {
		return err
	}
	for _, x := range []struct{ key, address string }{{"nats.listen", n.Listen}, {"nats.cluster", n.Cluster}} {
		if x.address != "" && strings.Contains(err.Error(), x.address) {
			return fmt.Errorf("%s: %w; choose another address, or end the process that has it", x.key, err)
		}
	}
	return err
}
