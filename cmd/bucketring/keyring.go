// keyring.go makes the file with the cluster's secrets.

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring/node/member"
)

// initKeyring writes a new key file and never replaces one.
func initKeyring(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: nodes that lose their secret lose each other, so it is kept", name)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(member.NewKeys())
	return errors.Join(err, f.Sync(), f.Close())
}

func keyringCommand() *cobra.Command {
	make := &cobra.Command{
		Use: "init FILE", Short: "Make a new key file, readable by its owner only", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keep, _ := cmd.Flags().GetBool("keep"); keep {
				if _, err := member.ReadKeys(args[0]); err == nil {
					return nil
				}
			}
			if err := initKeyring(args[0]); err != nil {
				return asExit(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s written: copy it to every node and start each with --key-file %s\n", args[0], args[0])
			return nil
		},
	}
	make.Flags().Bool("keep", false, "succeed if the file exists and is good")
	return group("keyring", "Make the file with the cluster's secrets", make)
}
