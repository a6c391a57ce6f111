;; Etätuki's entries in GnuCash's Help menu.
;;
;; Loaded from the user's config-user.scm (see install.sh). Starts the launcher detached, so that neither program
;; waits for the other. The launcher is ETATUKI if that is set when GnuCash starts, else `etatuki` on PATH.
(use-modules (gnucash gnome-utils) (gnucash core-utils))

(define etatuki:launcher (or (getenv "ETATUKI") "etatuki"))

(define (etatuki:start backend)
  (system* "sh" "-c" "setsid -f \"$0\" open \"$1\" --app-version \"$2\" </dev/null >/dev/null 2>&1"
           etatuki:launcher backend gnc:version))

(define (etatuki:add-entry entry)
  (gnc-add-scm-extension
   (gnc:make-menu-item
    (car entry)
    (string-append "etatuki-" (cdr entry))
    (car entry)
    (list "Help/HelpPlaceholder1")
    (lambda (window) (etatuki:start (cdr entry))))))

;; The newest entry ends on top, so the list is added from its end.
(for-each etatuki:add-entry
          (reverse '(("Ecom Etätuki" . "ecom")
                     ("Remoteus etätuki (2008)" . "remoteus-2008")
                     ("Remoteus etätuki (2010)" . "remoteus-2010"))))
