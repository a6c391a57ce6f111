;; Etätuki's entries in GnuCash's Help menu.
;;
;; Loaded from the user's config-user.scm (see install.sh). Starts the launcher detached, so that neither program
;; waits for the other. The launcher is ETATUKI if that is set when GnuCash starts, else `etatuki` on PATH.
(use-modules (gnucash gnome-utils) (gnucash core-utils))

(define etatuki:launcher (or (getenv "ETATUKI") "etatuki"))

;; Returns whether the launcher could be started; it reports all later failures itself.
(define (etatuki:start backend)
  (zero? (system* "sh" "-c"
                  (string-append "command -v \"$0\" >/dev/null || exit 127; "
                                 "setsid -f \"$0\" open \"$1\" --app-version \"$2\" "
                                 "--program-pid \"$3\" --program-name GnuCash </dev/null >/dev/null 2>&1")
                  etatuki:launcher backend gnc:version (number->string (getpid)))))

(define (etatuki:open backend)
  (or (etatuki:start backend)
      (gnc-error-dialog '() "Etätukea ei löydy tältä koneelta. Soita asiakastukeen ja kerro tästä.")))

(define (etatuki:add-entry entry)
  (gnc-add-scm-extension
   (gnc:make-menu-item
    (car entry)
    (string-append "etatuki-" (cdr entry))
    (car entry)
    (list "Help/HelpPlaceholder1")
    (lambda (window) (etatuki:open (cdr entry))))))

;; GnuCash puts each new entry on top, so the list is added in reverse.
(for-each etatuki:add-entry
          (reverse '(("Ecom Etätuki" . "ecom")
                     ("Remoteus etätuki (2008)" . "remoteus-2008")
                     ("Remoteus etätuki (2010)" . "remoteus-2010"))))
