// Package cell makes hosts out of Linux namespaces: a cell has its own network,
// processes and mounts, and an init that starts programs in it. Everything that
// was started in a cell ends with it, whatever it is and whoever its parent was.
//
//	func main() {
//		cell.Init()                       // in a cell it does not return
//		inside, code, err := cell.Enclose(ctx)
//		if !inside { os.Exit(code) }      // the run was in there
//		c, err := cell.New(ctx, cell.Config{Name: "h1", Address: "10.77.0.11/24"})
//		p, err := c.Start(cell.Program{Args: []string{"/usr/bin/true"}, Log: file})
//	}
//
// Enclose runs the program itself in such namespaces first. So the end of a run,
// also by kill -9, is the end of every process, network and mount that it made,
// and inside of it no process of the machine can even be named.
//
// It needs root, and Linux.
package cell
